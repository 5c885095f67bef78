/** Makes and changes elements. Text is only ever set as text. */

type Child = Node | string | undefined;

/** An element with these attributes and children; attributes that are undefined or false are left out. */
export function element<N extends keyof HTMLElementTagNameMap>(
  name: N,
  attributes: Record<string, string | boolean | undefined | (() => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[N] {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(attribute, value);
    else if (value !== undefined && value !== false) made.setAttribute(attribute, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** Sets the text where it has changed, so that nothing is laid out or read out again for nothing. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets the children where what they are made of has changed: whoever has the focus on one keeps it otherwise. */
export function setChildren(parent: Element, madeOf: unknown, make: () => Child[]): void {
  const key = JSON.stringify(madeOf) ?? "";
  if (shown.get(parent) === key) return;
  shown.set(parent, key);
  parent.replaceChildren(...make().filter((child) => child !== undefined));
}

const shown = new WeakMap<Element, string>();

/** Puts these in this order, moving only what is elsewhere; what is not among them goes. */
export function arrange(parent: Element, children: readonly Element[]): void {
  const kept = new Set(children);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  for (const [index, child] of children.entries()) {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  }
}
