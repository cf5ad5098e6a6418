// How long nobody has typed before what follows from a text is read out, in milliseconds.
const REST = 600;

// JupyterLab's command mode takes arrows and letters from a list or a button that has the focus, and
// "dd" deletes the cell (ipywidgets issue 3912). It spares an element that bears this attribute.
function keepKeys(widget) {
  widget.addEventListener("focusin", ({ target }) => {
    if (!target.matches(":read-write")) target.setAttribute("data-lm-suppress-shortcuts", "true");
  });
}

// Escape and Shift+Enter leave a widget as they leave a cell: to the cell, or to the one after it.
// The cell is not run again: that would make the widget anew and lose what was set in it.
function leaveByKeys(widget) {
  const leave = (event) => {
    const { key, shiftKey, ctrlKey, altKey, metaKey, isComposing } = event;
    const onward = key === "Enter" && shiftKey;
    const cell = widget.closest(".jp-Cell");
    if (!cell || isComposing || ctrlKey || altKey || metaKey) return;
    if (!onward && key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    const next = cell.nextElementSibling?.matches(".jp-Cell") ? cell.nextElementSibling : cell;
    const target = onward ? next : cell;
    target.focus();
    target.scrollIntoView({ block: "nearest" });
  };
  // Before the controls: a text field keeps its keys to itself.
  widget.addEventListener("keydown", leave, { capture: true });
}

function typesIn(widget) {
  const at = document.activeElement;
  return widget !== null && widget.contains(at) && at.matches(":read-write");
}

// A line that stays in the page while its text changes: only then do screen readers read it out.
// What ipywidgets.HTML shows is a new element after each change, and new elements stay unread.
function render({ model, el }) {
  const line = document.createElement("p");
  line.className = "eksnet-status";
  line.setAttribute("role", "status");
  const unseen = document.createElement("span");
  unseen.className = "eksnet-unseen";
  const show = () => {
    line.textContent = model.get("sentence");
    unseen.textContent = ` ${model.get("settings")}`;
    line.append(unseen);
  };
  // A text counts letter by letter, and is read out when the typing rests: the answer to an earlier
  // letter can arrive between two others.
  let waits;
  const showNow = () => {
    clearTimeout(waits);
    waits = undefined;
    show();
  };
  const showLater = () => {
    clearTimeout(waits);
    waits = setTimeout(showNow, REST);
  };
  const change = () => {
    if (typesIn(el.closest(".eksnet-widget"))) showLater();
    else showNow();
  };
  const typed = () => {
    if (waits !== undefined) showLater();
  };
  model.on("change", change);
  show();
  el.append(line);
  // Once the line is in the page.
  requestAnimationFrame(() => {
    const widget = el.closest(".eksnet-widget");
    if (!widget) return;
    for (const tend of [keepKeys, leaveByKeys]) tend(widget);
    widget.addEventListener("input", typed, { capture: true });
  });
  return () => {
    clearTimeout(waits);
    model.off("change", change);
  };
}

export default { render };
