// Refresh what is shown when something changed, and make the lists work with the keyboard. No inline script anywhere.
"use strict";
document.documentElement.classList.add("js");
document.addEventListener("DOMContentLoaded", () => {
  const body = document.body;
  const detail = () => document.getElementById("detail");
  const rows = () => [...document.querySelectorAll("tr[data-row]")];
  let opened = "";

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = body.dataset.csrf || "";
    // An alert that is loaded again keeps its tab.
    const tab = event.target.matches("article") && event.target.querySelector("[data-tab][aria-current]");
    if (tab) event.detail.parameters.tab = tab.dataset.tab;
  });

  // The list and the panel beside it: the row that is open stays marked, whatever is loaded again.
  const mark = () => {
    const shown = detail() && detail().querySelector("[data-alert]");
    opened = shown ? shown.dataset.alert : "";
    const split = document.querySelector(".split");
    if (split) split.classList.toggle("has-detail", Boolean(detail() && detail().firstElementChild));
    rows().forEach((row) => row.classList.toggle("open", row.dataset.row === opened));
  };
  const close = () => {
    if (!detail() || !detail().firstElementChild) return;
    const row = rows().find((item) => item.dataset.row === opened);
    detail().replaceChildren();
    mark();
    if (row) row.querySelector("a.opens").focus({ preventScroll: true });
  };
  let before = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id === "list") before = new Set(rows().map((row) => row.dataset.row));
  });
  document.addEventListener("htmx:afterSettle", () => {
    mark();
    if (before) rows().forEach((row) => row.classList.toggle("fresh", !before.has(row.dataset.row)));
    before = null;
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) { close(); return; }
    const tab = event.target.closest("[data-tab]");
    if (tab) { show(tab); return; }
    const cut = event.target.closest("[data-cut]");
    if (cut) { window.htmx.trigger(cut.closest("section").querySelector(".packets"), "cut"); return; }
    const row = event.target.closest("tr[data-row]");
    if (row && !event.target.closest("a, button") && !window.getSelection().toString()) row.querySelector("a.opens").click();
  });
  const show = (tab) => {
    const article = tab.closest("article");
    article.querySelectorAll("[data-tab]").forEach((item) => (item === tab ? item.setAttribute("aria-current", "true") : item.removeAttribute("aria-current")));
    article.querySelectorAll("[data-pane]").forEach((pane) => pane.classList.toggle("shown", pane.dataset.pane === tab.dataset.tab));
  };

  // A new time range shows the same room again, with everything else as it was.
  document.addEventListener("change", (event) => {
    const room = event.target.dataset.submits;
    if (!room) return;
    const form = event.target.form;
    form.action = room;
    const box = form.querySelector("input[type=search]");
    if (box && !box.value) box.disabled = true;
    form.submit();
  });

  // Live: something changed; lists are loaded again at most every second and a half.
  const live = () => document.querySelector("[data-live]");
  if (body.dataset.after && window.EventSource) {
    let last = 0;
    let timer = null;
    const reload = () => {
      timer = null;
      last = Date.now();
      if (live()) window.htmx.trigger(live(), "refresh");
    };
    const soon = (event) => {
      const about = JSON.parse(event.data).alert_id;
      const article = detail() && detail().querySelector(`[data-alert="${about}"]`);
      // What somebody is filling in stays as it is, and so do packets that were cut.
      if (article && !article.querySelector("details[open], [data-tab=packets][aria-current]")) window.htmx.trigger(article, "refresh");
      if (timer === null) timer = setTimeout(reload, Math.max(0, last + 1500 - Date.now()));
    };
    const source = new EventSource(`/api/v1/live?after=${body.dataset.after}`);
    source.addEventListener("alert.created", soon);
    source.addEventListener("alert.updated", soon);
    source.addEventListener("session.ended", () => { source.close(); window.location.assign("/login"); });
    window.addEventListener("pagehide", () => source.close());
  }

  // Keys: j and k move, Enter opens (it is a link), Esc closes, / searches.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const act = document.querySelector("details.act[open]");
      if (act) { act.open = false; act.querySelector("summary").focus(); } else { close(); }
      return;
    }
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      const box = document.querySelector("input[type=search]");
      if (box) { event.preventDefault(); box.focus(); box.select(); }
      return;
    }
    const step = { j: 1, k: -1 }[event.key];
    const links = rows().map((row) => row.querySelector("a.opens"));
    if (!step || !links.length) return;
    let at = links.indexOf(document.activeElement);
    if (at < 0) at = rows().findIndex((row) => row.dataset.row === opened);
    const next = links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + step))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
    // With a panel open, moving shows the next one beside the list.
    if (opened) next.click();
  });
});
