/** The operators' page: signs people in and shows what the address asks for. */
import { onAuthStateChanged, signOut } from "firebase/auth";
import { type Cloud, connect } from "./cloud.js";
import { element, setText } from "./element.js";
import { type Live, listen } from "./live.js";
import { orderView } from "./order.js";
import { overview, type View } from "./overview.js";
import { type Session, sessionOf } from "./session.js";
import { signInView } from "./sign-in.js";

const page = document.querySelector("#page") ?? document.body;

let end: () => void = () => {};

/** Shows something else, after what was shown has ended. */
function show(root: HTMLElement, onEnd: () => void = () => {}): void {
  end();
  end = onEnd;
  page.replaceChildren(root);
}

function message(title: string, text: string, ...more: HTMLElement[]): HTMLElement {
  const card = element("div", { class: "card" }, element("h1", {}, title), element("p", {}, text), ...more);
  return element("main", { id: "content", class: "narrow" }, card);
}

const signOutButton = ({ auth }: Pick<Session, "auth">) =>
  element("button", { type: "button", click: () => void signOut(auth) }, "Sign out");

/** The page of somebody who may see something: a head that stays, and below it what the address asks for. */
function desk({ firestore }: Cloud, session: Session): void {
  const place = element("div");
  const banner = element("p", { class: "banner", role: "status", hidden: true });
  const root = element(
    "div",
    {},
    element(
      "header",
      { class: "head" },
      element("a", { href: "#/", class: "brand" }, "Orders"),
      element("span", { class: "who" }, `${session.name}, ${session.role}`),
      signOutButton(session),
    ),
    banner,
    place,
  );
  let view: View | undefined;
  const live: Live = listen(firestore, update, () =>
    show(message("No access", "What you may see has changed. Sign in again.", signOutButton(session))),
  );

  function update(): void {
    const unreadable = live.unreadable === 0 ? "" : `${live.unreadable} documents can't be read by this page.`;
    const stale = live.isStale ? "Offline: what you see may be old. It goes on by itself." : "";
    setText(banner, [stale, unreadable].filter(Boolean).join(" "));
    banner.hidden = banner.textContent === "";
    view?.update();
  }

  function route(): void {
    view?.stop();
    const [, id] = /^#\/orders\/(.+)$/.exec(location.hash) ?? [];
    view = id === undefined ? overview(live) : orderView(decoded(id), session, firestore, live);
    place.replaceChildren(view.root);
    document.title = id === undefined ? "Orders" : `Order ${decoded(id)}`;
    window.scrollTo(0, 0);
    update();
  }

  window.addEventListener("hashchange", route);
  show(root, () => {
    window.removeEventListener("hashchange", route);
    view?.stop();
    live.stop();
  });
  route();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function start(): Promise<void> {
  const cloud = await connect();
  onAuthStateChanged(cloud.auth, (user) => {
    if (!user) return show(signInView(cloud.auth));
    show(message("Orders", "One moment …"));
    void sessionOf(cloud.auth, user).then((session) => {
      if (session.role) return desk(cloud, session);
      const text = `${session.name} has no role here. Ask whoever runs this to grant you viewer or operator, then sign in again.`;
      show(message("No role yet", text, signOutButton(session)));
    });
  });
}

start().catch((error: unknown) => {
  show(message("This page can't start", `${(error as Error).message}. Load it again in a moment.`));
});
