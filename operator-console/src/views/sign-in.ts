/** The form that signs people in. */
import { html, render } from "lit-html";
import { messageOf, problem } from "./view.js";

/** By the code of Firebase Authentication. */
const SIGN_IN_ERRORS: Record<string, string> = {
  "auth/invalid-credential": "Incorrect email or password.",
  "auth/user-not-found": "Incorrect email or password.",
  "auth/wrong-password": "Incorrect email or password.",
  "auth/invalid-email": "Enter a valid email address.",
  "auth/user-disabled": "This account is disabled.",
  "auth/too-many-requests": "Too many attempts. Try again in a few minutes.",
  "auth/network-request-failed": "Couldn't reach the sign-in service. Check your connection.",
};

export function signIn(root: HTMLElement, submitTo: (email: string, password: string) => Promise<void>): void {
  let error: string | undefined;
  let isBusy = false;

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const data = new FormData(form);
    isBusy = true;
    error = undefined;
    draw();
    try {
      await submitTo(String(data.get("email")), String(data.get("password")));
    } catch (failed) {
      error = SIGN_IN_ERRORS[(failed as { code?: string }).code ?? ""] ?? messageOf(failed);
      isBusy = false;
      draw();
      form.querySelector<HTMLInputElement>("#password")?.select();
    }
  }

  function draw(): void {
    const form = html`<main id="content" class="narrow">
      <form class="card sign-in" aria-labelledby="sign-in-title" @submit=${submit}>
        <h1 id="sign-in-title">Orders</h1>
        <p class="quiet">Monitor active orders and resolve stuck ones.</p>
        <label for="email">Email</label>
        <input id="email" name="email" type="email" autocomplete="username" required />
        <label for="password">Password</label>
        <input id="password" name="password" type="password" autocomplete="current-password" required />
        ${problem(error)}
        <button class="primary" type="submit" ?disabled=${isBusy}>Sign in</button>
      </form>
    </main>`;
    render(form, root);
  }
  draw();
}
