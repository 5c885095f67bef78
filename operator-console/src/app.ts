/** The console: the frame around every view, and the routing to views. */
import { html, nothing, render, type TemplateResult } from "lit-html";
import { Api } from "./api.js";
import type { DataSource, Session } from "./data/source.js";
import { followKeys, showKeys } from "./keyboard.js";
import { plural } from "./labels.js";
import { startLive } from "./live.js";
import { followAddress, navigate, type Route, routeOf } from "./router.js";
import { Statistics } from "./statistics.js";
import { loadAllViews, loadView } from "./views/load-view.js";
import { type Context, loading, type View } from "./views/view.js";

/** Ages are rendered again at this interval. */
const CLOCK_MS = 1_000;

/** The minimum time between two renderings, however many changes arrive. */
const DRAW_MS = 100;

/** The views that are not shown yet are loaded this long after the first one. */
const IDLE_MS = 3_000;

const root = document.querySelector<HTMLElement>("#page") ?? document.body;

/** Starts the console on a data source that may take a moment to connect. */
export async function start(connecting: DataSource | Promise<DataSource>): Promise<void> {
  let end = () => {};
  void loadView(routeOf(location).view);
  try {
    const source = await connecting;
    source.onSession((session) => {
      end();
      end = show(source, session);
    });
  } catch (error) {
    showFailure(error as Error);
  }
}

/** Shows what this session may see. Returns a function that ends it. */
function show(source: DataSource, session: Session | undefined): () => void {
  render(nothing, root);
  if (!session && source.signIn) return showSignIn(source.signIn);
  if (session?.role) return new Console(source, session).stop;
  const text = `${session?.name ?? "This account"} doesn't have access. Ask an administrator for the viewer or operator role, then sign in again.`;
  render(message("No access", text, signOutButton(source)), root);
  return () => {};
}

function showSignIn(submit: NonNullable<DataSource["signIn"]>): () => void {
  let isWanted = true;
  void import("./views/sign-in.js").then(({ signIn }) => isWanted && signIn(root, submit), showFailure);
  return () => {
    isWanted = false;
  };
}

function showFailure(error: Error): void {
  render(message("Couldn't load the page", `${error.message}. Try reloading.`), root);
}

function message(title: string, text: string, more: TemplateResult | typeof nothing = nothing): TemplateResult {
  return html`<main id="content" class="narrow"><div class="card"><h1>${title}</h1><p>${text}</p>${more}</div></main>`;
}

function signOutButton({ signOut }: DataSource): TemplateResult | typeof nothing {
  return signOut ? html`<button type="button" @click=${() => signOut()}>Sign out</button>` : nothing;
}

const NAVIGATION = [
  ["/", "Overview", "overview"],
  ["/attention", "Attention", "attention"],
  ["/orders", "Orders", "orders"],
  ["/flow", "Flow", "flow"],
] as const;

/** A signed-in session's console. */
class Console {
  private readonly context: Context;
  private route: Route = routeOf(location);
  private view: View = opening;
  /** Counts the views that were opened: one that has loaded too late is not shown. */
  private opened = 0;
  private drawnAt = Number.NEGATIVE_INFINITY;
  private drawing: ReturnType<typeof setTimeout> | undefined;
  private isDenied = false;
  private readonly stops: (() => void)[] = [];

  constructor(source: DataSource, session: Session) {
    const api = new Api(source.token);
    const redraw = () => this.drawSoon();
    const live = startLive(source, redraw, () => this.deny());
    this.context = { source, session, api, live, statistics: new Statistics(api, redraw), redraw };
    const clock = setInterval(redraw, CLOCK_MS);
    const idle = setTimeout(loadAllViews, IDLE_MS);
    this.stops.push(
      live.stop,
      () => clearInterval(clock),
      () => clearTimeout(idle),
      followAddress(() => this.follow()),
      followKeys(),
    );
    void this.open();
  }

  readonly stop = (): void => {
    this.view.stop?.();
    clearTimeout(this.drawing);
    for (const end of this.stops) end();
    this.isDenied = true;
  };

  private deny(): void {
    this.stop();
    const { source } = this.context;
    const reload = html`<button type="button" @click=${() => location.reload()}>Reload</button>`;
    const text = source.signOut
      ? message("No access", "Your permissions changed. Sign in again.", signOutButton(source))
      : message("Restarted", "The system has been restarted. Reload the page.", reload);
    render(text, root);
  }

  private async open(): Promise<void> {
    const mine = ++this.opened;
    this.view.stop?.();
    this.view = opening;
    const open = await loadView(this.route.view);
    if (mine !== this.opened || this.isDenied) return;
    this.view = open(this.context, this.route);
    this.draw();
  }

  private follow(): void {
    const { view, id } = this.route;
    this.route = routeOf(location);
    if (this.route.view === view && this.route.id === id) {
      this.view.onQuery?.(this.route.query);
      this.draw();
    } else {
      window.scrollTo(0, 0);
      void this.open();
    }
  }

  private drawSoon(): void {
    const wait = Math.max(0, this.drawnAt + DRAW_MS - performance.now());
    this.drawing ??= setTimeout(() => {
      this.drawing = undefined;
      this.draw();
    }, wait);
  }

  private draw(): void {
    if (this.isDenied) return;
    this.drawnAt = performance.now();
    const needs = this.context.live.attention.size;
    document.title = `${needs > 0 ? `(${needs}) ` : ""}${this.view.title} · Orders`;
    render(
      html`${header(this.context, this.route)} ${banner(this.context)}<main id="content" class="wide">${this.view.render()}</main>`,
      root,
    );
  }
}

/** What is shown until a view has loaded. */
const opening: View = { title: "Loading", render: () => loading };

function header({ source, session, live }: Context, route: Route): TemplateResult {
  const search = (event: Event) => {
    event.preventDefault();
    const text = String(new FormData(event.currentTarget as HTMLFormElement).get("q") ?? "").trim();
    navigate(text === "" ? "/orders" : `/orders?q=${encodeURIComponent(text)}`);
  };
  const needs = live.attention.size;
  return html`<header class="head">
    <a href="/" class="brand">Orders</a>
    <nav aria-label="Views">
      ${NAVIGATION.map(
        ([address, title, view]) => html`<a href=${address} aria-current=${route.view === view ? "page" : nothing}
          >${title}${view === "attention" && needs > 0 ? html` <span class="badge">${needs}</span>` : nothing}</a
        >`,
      )}
    </nav>
    <form role="search" aria-label="Find an order" @submit=${search}>
      <input id="search" name="q" type="search" autocomplete="off" spellcheck="false" maxlength="1400"
        aria-label="Search by order, customer, kitchen order or shipment" placeholder="Find any order" />
      <kbd aria-hidden="true">/</kbd>
    </form>
    <span class="who" title=${`${session.name}, ${session.role}`}>${session.name}, ${session.role}</span>
    <button type="button" class="icon" aria-label="Keyboard shortcuts" @click=${showKeys}>?</button>
    ${signOutButton(source)}
  </header>`;
}

function banner({ live }: Context): TemplateResult {
  const unreadable = live.unreadable === 0 ? "" : `${plural(live.unreadable, "document")} couldn't be displayed.`;
  const stale = live.isStale ? "You're offline. Data may be stale; reconnecting automatically." : "";
  const text = [stale, unreadable].filter(Boolean).join(" ");
  return html`<p class="banner" role="status" ?hidden=${text === ""}>${text}</p>`;
}
