// The few things the page does to the document. Text always goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; strings become text. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'class') node.className = value;
    else if (name === 'data') Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets the text only where it differs: an unchanged node costs no layout and keeps a selection. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, props) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  return node;
}

/** Calls `draw` once in the next frame, however often it is asked for. */
export function eachFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/** Fills an empty state: what is being waited for, and why. Nothing given hides it. */
export function empty(node, title, reason) {
  node.hidden = !title;
  if (!title) return;
  if (node.dataset.shown === `${title}\n${reason}`) return;
  node.dataset.shown = `${title}\n${reason}`;
  node.replaceChildren(el('strong', {}, title), el('span', {}, reason ?? ''));
}
