/** The form that lets somebody in. */
import { type Auth, signInWithEmailAndPassword } from "firebase/auth";
import { element, setText } from "./element.js";

const REASONS: Record<string, string> = {
  "auth/invalid-credential": "This address and password don't belong together.",
  "auth/user-not-found": "This address and password don't belong together.",
  "auth/wrong-password": "This address and password don't belong together.",
  "auth/invalid-email": "This is not an email address.",
  "auth/user-disabled": "This account is switched off.",
  "auth/too-many-requests": "Too many tries. Wait a few minutes.",
  "auth/network-request-failed": "The sign-in service can't be reached. Are you online?",
};

export function signInView(auth: Auth): HTMLElement {
  const email = element("input", { id: "email", type: "email", autocomplete: "username", required: true });
  const password = element("input", {
    id: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const problem = element("p", { class: "problem", role: "alert" });
  const button = element("button", { class: "primary", type: "submit" }, "Sign in");
  const form = element(
    "form",
    { class: "card sign-in", "aria-labelledby": "sign-in-title" },
    element("h1", { id: "sign-in-title" }, "Orders"),
    element("p", { class: "quiet" }, "For the people who watch orders on their way, and unstick them."),
    element("label", { for: "email" }, "Email"),
    email,
    element("label", { for: "password" }, "Password"),
    password,
    problem,
    button,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    button.disabled = true;
    setText(problem, "");
    signInWithEmailAndPassword(auth, email.value, password.value).catch((error: { code?: string; message: string }) => {
      setText(problem, REASONS[error.code ?? ""] ?? error.message);
      button.disabled = false;
      password.select();
    });
  });
  return element("main", { id: "content", class: "narrow" }, form);
}
