// Refresh what is shown when something changed, and make the list work with the keyboard. No inline script anywhere.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const body = document.body;
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = body.dataset.csrf || "";
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id === "detail") {
      document.querySelector(".split").classList.toggle("has-detail", event.target.innerHTML.trim() !== "");
      const opened = event.target.querySelector("[data-alert]");
      document.querySelectorAll("tr[data-row]").forEach((row) =>
        row.classList.toggle("open", opened !== null && row.dataset.row === opened.dataset.alert));
    }
  });
  const refresh = document.querySelector("[data-live]");
  if (refresh && window.EventSource) {
    let waiting = false;
    const soon = () => {
      if (waiting) return;
      waiting = true;
      setTimeout(() => { waiting = false; window.htmx.trigger(refresh, "refresh"); }, 400);
    };
    const source = new EventSource("/api/v1/live");
    source.addEventListener("alert.created", soon);
    source.addEventListener("alert.updated", soon);
    source.addEventListener("session.ended", () => { source.close(); window.location.assign("/login"); });
    window.addEventListener("pagehide", () => source.close());
  }
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...document.querySelectorAll("tr[data-row] a.opens")];
    const at = rows.indexOf(document.activeElement);
    if (event.key === "j" && rows.length) { rows[Math.min(at + 1, rows.length - 1)].focus(); }
    if (event.key === "k" && rows.length) { rows[Math.max(at - 1, 0)].focus(); }
    if (event.key === "/") { const box = document.querySelector("input[type=search]"); if (box) { event.preventDefault(); box.focus(); } }
  });
});
