/** The console: the frame around every view, and which view the address asks for. */
import { html, nothing, render, type TemplateResult } from "lit-html";
import { Api } from "./api.js";
import type { DataSource, Session } from "./data/source.js";
import { followKeys } from "./keyboard.js";
import { plural } from "./labels.js";
import { startLive } from "./live.js";
import { followAddress, navigate, type Route, routeOf } from "./router.js";
import { Statistics } from "./statistics.js";
import { attention } from "./views/attention.js";
import { openKeys } from "./views/dialog.js";
import { flowView } from "./views/flow.js";
import { order } from "./views/order.js";
import { orders } from "./views/orders.js";
import { overview } from "./views/overview.js";
import { signIn } from "./views/sign-in.js";
import type { Context, View } from "./views/view.js";

/** Ages are drawn again this often. */
const CLOCK_MS = 1_000;

/** Changes are drawn at most this often, however many come. */
const DRAW_MS = 100;

const root = document.querySelector<HTMLElement>("#page") ?? document.body;

/** Starts the console on a data source that may take a moment to connect. */
export async function start(connecting: DataSource | Promise<DataSource>): Promise<void> {
  let end = () => {};
  try {
    const source = await connecting;
    source.onSession((session) => {
      end();
      end = show(source, session);
    });
  } catch (error) {
    render(message("Couldn't load the page", `${(error as Error).message}. Try reloading.`), root);
  }
}

/** Shows what this session may see; returns what ends it. */
function show(source: DataSource, session: Session | undefined): () => void {
  render(nothing, root);
  if (!session && source.signIn) signIn(root, source.signIn);
  else if (!session?.role) {
    const text = `${session?.name ?? "This account"} doesn't have access. Ask an administrator for the viewer or operator role, then sign in again.`;
    render(message("No access", text, signOutButton(source)), root);
  } else return new Console(source, session).stop;
  return () => {};
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
  private view: View;
  private drawing: ReturnType<typeof setTimeout> | undefined;
  private isDenied = false;
  private readonly stops: (() => void)[] = [];

  constructor(source: DataSource, session: Session) {
    const api = new Api(source.token);
    const redraw = () => this.drawSoon();
    const live = startLive(source, redraw, () => this.deny());
    this.context = { source, session, api, live, statistics: new Statistics(api, redraw), redraw };
    this.view = this.open(this.route);
    const clock = setInterval(redraw, CLOCK_MS);
    this.stops.push(
      live.stop,
      () => clearInterval(clock),
      followAddress(() => this.follow()),
      followKeys(),
    );
    this.draw();
  }

  readonly stop = (): void => {
    this.view.stop?.();
    clearTimeout(this.drawing);
    for (const end of this.stops) end();
    this.isDenied = true;
  };

  private deny(): void {
    this.stop();
    render(message("No access", "Your permissions changed. Sign in again.", signOutButton(this.context.source)), root);
  }

  private open(route: Route): View {
    if (route.view === "order") return order(this.context, route.id);
    if (route.view === "missing") return missing();
    const views = { overview, attention, orders, flow: flowView };
    return views[route.view](this.context, route.query);
  }

  private follow(): void {
    const next = routeOf(location);
    const isSame = next.view === this.route.view && (next.view !== "order" || next.id === idIn(this.route));
    this.route = next;
    if (isSame) this.view.onQuery?.(next.query);
    else {
      this.view.stop?.();
      this.view = this.open(next);
      window.scrollTo(0, 0);
    }
    this.draw();
  }

  private drawSoon(): void {
    this.drawing ??= setTimeout(() => {
      this.drawing = undefined;
      this.draw();
    }, DRAW_MS);
  }

  private draw(): void {
    if (this.isDenied) return;
    const needs = this.context.live.attention.size;
    document.title = `${needs > 0 ? `(${needs}) ` : ""}${this.view.title} · Orders`;
    render(
      html`${header(this.context, this.route)} ${banner(this.context)}<main id="content" class="wide">${this.view.render()}</main>`,
      root,
    );
  }
}

function idIn(route: Route): string | undefined {
  return route.view === "order" ? route.id : undefined;
}

function missing(): View {
  return {
    title: "Page not found",
    render: () =>
      html`<h1>Page not found</h1><p>There is nothing at this address. <a href="/">Go to the overview</a></p>`,
  };
}

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
    <button type="button" class="icon" aria-label="Keyboard shortcuts" @click=${openKeys}>?</button>
    ${signOutButton(source)}
  </header>`;
}

function banner({ live }: Context): TemplateResult {
  const unreadable = live.unreadable === 0 ? "" : `${plural(live.unreadable, "document")} couldn't be displayed.`;
  const stale = live.isStale ? "You're offline. Data may be stale; reconnecting automatically." : "";
  const text = [stale, unreadable].filter(Boolean).join(" ");
  return html`<p class="banner" role="status" ?hidden=${text === ""}>${text}</p>`;
}
