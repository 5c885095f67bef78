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
