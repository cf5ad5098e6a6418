// JupyterLab's command mode takes arrows and letters from a list or a button that has the focus, and
// "dd" deletes the cell (ipywidgets issue 3912). It spares an element that bears this attribute.
function keepKeys(widget) {
  widget?.addEventListener("focusin", ({ target }) => {
    if (!target.matches(":read-write")) target.setAttribute("data-lm-suppress-shortcuts", "true");
  });
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
  model.on("change", show);
  show();
  el.append(line);
  // Once the line is in the page.
  requestAnimationFrame(() => keepKeys(el.closest(".eksnet-widget")));
}

export default { render };
