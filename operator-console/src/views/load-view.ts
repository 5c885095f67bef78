/**
 * Every view. The overview comes with the frame; the others are loaded when they are first shown, or once the page is idle, since
 * after a deploy the server no longer has the files of a page that has been open all day.
 */
import { html } from "lit-html";
import type { Route, ViewName } from "../router.js";
import { overview } from "./overview.js";
import type { Context, View } from "./view.js";

type OpenView = (context: Context, route: Route) => View;

/** operator-console/build.ts finds a view's file by its name here. */
const VIEWS: Record<ViewName, () => Promise<OpenView>> = {
  overview: async () => overview,
  attention: async () => (await import("./attention.js")).attention,
  orders: async () => (await import("./orders.js")).orders,
  order: async () => (await import("./order.js")).order,
  flow: async () => (await import("./flow.js")).flow,
  missing: async () => missing,
};

/** Never rejects: a view that can't be loaded says so. */
export async function loadView(name: ViewName): Promise<OpenView> {
  try {
    return await VIEWS[name]();
  } catch {
    return notLoaded;
  }
}

export function loadAllViews(): void {
  for (const name of Object.keys(VIEWS) as ViewName[]) void loadView(name);
  import("./keys.js").catch(() => {});
}

function missing(): View {
  return {
    title: "Page not found",
    render: () =>
      html`<h1>Page not found</h1><p>There is nothing at this address. <a href="/">Go to the overview</a></p>`,
  };
}

function notLoaded(): View {
  return {
    title: "Couldn't load this view",
    render: () => html`<h1>Couldn't load this view</h1>
      <p>You may be offline, or a new version is available.</p>
      <div class="buttons"><button type="button" @click=${() => location.reload()}>Reload</button></div>`,
  };
}
