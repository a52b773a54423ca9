// Asks again how the tenants on the page stand, and shows it. What is to be shown, the server says.
"use strict";

(() => {
  const table = document.querySelector("table[data-progress]");
  const sessions = document.querySelector("[data-sessions]");
  const problem = document.querySelector("[data-problem]");
  const rows = new Map([...table.querySelectorAll("tr[data-tenant]")].map(row => [row.dataset.tenant, row]));
  const stale = document.querySelector(".sr-stale");
  const MOVING = 1000, RESTING = 5000, PATIENCE = 15000;  // milliseconds
  const copies = new Map();  // of each tenant, when its copy was first seen and how far it was

  function clock(seconds) {
    const rest = Math.round(seconds), two = number => String(number).padStart(2, "0");
    const hours = Math.floor(rest / 3600), minutes = Math.floor(rest / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(rest % 60)}` : `${minutes}:${two(rest % 60)}`;
  }

  function progress(tenant, copied, total) {
    const now = performance.now() / 1000, first = copies.get(tenant) ?? { at: now, copied };
    copies.set(tenant, first);
    const rate = now > first.at ? (copied - first.copied) / (now - first.at) : 0;
    const known = total === null ? "" : ` of ${total.toLocaleString("en")}`;
    const left = rate > 0 && total > copied ? `, ${clock((total - copied) / rate)} left` : "";
    const pace = rate > 0 ? `, ${Math.round(rate).toLocaleString("en")}/s` : "";
    return `copied ${copied.toLocaleString("en")}${known}${pace}${left}`;
  }

  function showCopy(row, { tenant, copied, total }) {
    const copy = row.querySelector(".sr-copy"), bar = copy.querySelector("progress");
    copy.hidden = copied === null;
    if (copy.hidden) {
      copies.delete(tenant);
      return;
    }
    bar.max = Math.max(total ?? copied, 1);
    bar.value = copied;
    copy.querySelector("[data-copy]").textContent = progress(tenant, copied, total);
  }

  function said(row) {
    const words = row.querySelector("[data-cell=said]");
    words.classList.toggle("sr-failed", /^\w+ failed/.test(words.textContent.trim()));
  }

  function show(found) {
    const row = rows.get(found.tenant);
    if (!row) return;
    row.dataset.phase = found.phase;
    row.querySelector("[data-name]").textContent = found.phase;
    for (const [name, words] of Object.entries({ ...found.cells, said: found.said })) {
      row.querySelector(`[data-cell=${name}]`).textContent = words;
    }
    for (const button of row.querySelectorAll("[data-verb]")) {
      button.hidden = !found.verbs.includes(button.dataset.verb);
    }
    showCopy(row, found);
    said(row);
  }

  function showAround(found) {
    for (const [phase, count] of Object.entries(found.counts)) {
      document.querySelector(`[data-count=${phase}]`).textContent = count;
    }
    const selected = getSelection();
    if (!selected.isCollapsed && sessions.contains(selected.anchorNode)) return;  // somebody is about to copy
    sessions.innerHTML = found.sessions;
  }

  async function ask() {
    const query = new URLSearchParams([...rows.keys()].map(tenant => ["tenant", tenant]));
    const options = { signal: AbortSignal.timeout(PATIENCE), headers: { Accept: "application/json" } };
    const answer = await fetch(`${table.dataset.progress}?${query}`, options);
    const found = await answer.json();
    problem.textContent = found.problem;
    problem.hidden = !found.problem;
    if (!answer.ok) return false;
    found.rows.forEach(show);
    showAround(found);
    return found.rows.some(({ cells, copied }) => cells.holder || copied !== null);
  }

  async function watch() {
    let moving = false;
    if (!document.hidden) {
      try {
        moving = await ask();
        stale.hidden = true;
      } catch {
        stale.hidden = false;
      }
    }
    setTimeout(watch, moving ? MOVING : RESTING);
  }

  for (const row of rows.values()) {
    const { copied, total } = row.querySelector("[data-copy]").dataset;
    const under = !row.querySelector(".sr-copy").hidden;
    showCopy(row, { tenant: row.dataset.tenant, copied: under ? Number(copied) : null, total: Number(total) || null });
    said(row);
  }
  watch();
})();
