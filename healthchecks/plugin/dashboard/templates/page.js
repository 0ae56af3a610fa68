"use strict";
// The script of every page: shows its age, sorts tables.
document.documentElement.classList.remove("no-script");

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function inWords(seconds) {
  const parts = [];
  let rest = Math.max(0, Math.round(seconds));
  for (const [name, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count || parts.length) parts.push([count, name]);
  }
  const shown = parts.slice(0, 2).filter(([count]) => count).map(([count, name]) => `${count} ${name}`);
  return shown.join(" ") || "0 s";
}

// The age of each <time data-age datetime=…> is set in the element after it; in an element with data-max-age it turns
// red above it. <body data-made data-late>: .late shows
// when the page is too old.
function showAges() {
  const now = Date.now() / 1000;
  for (const each of all("time[data-age]")) {
    const age = now - Date.parse(each.dateTime) / 1000;
    const words = `${inWords(age < 60 ? age : age - age % 60)} ago`;
    each.nextElementSibling.textContent = age < -60 ? "in the future: a clock is wrong" : words;
    const limit = each.parentElement.dataset.maxAge;
    if (limit !== undefined) each.parentElement.classList.toggle("is-old", age > Number(limit));
  }
  const {made, late} = document.body.dataset;
  const isLate = made !== undefined && late !== "" && now - Number(made) > Number(late);
  document.body.classList.toggle("is-late", isLate);
  for (const each of all(".late")) {
    each.hidden = !isLate;
    const age = each.querySelector(".age");
    if (age) age.textContent = inWords(now - Number(made));
  }
}

// <table class=sortable>: a button in each <th data-sort> (pytest-html: th.sortable) sorts by data-value or text of the
// cells: the rows of a single <tbody>, or several <tbody> by the first row of each.
function makeSortable(table) {
  all("th[data-sort], th.sortable", table).forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head));
  });
}

function sort(table, head) {
  const column = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
  const bodies = [...table.tBodies];
  const [parent, items] = bodies.length > 1 ? [table, bodies] : [bodies[0], [...bodies[0].rows]];
  const value = (item) => {
    const cell = (item.rows ? item.rows[0] : item).cells[column];
    return cell.dataset.value ?? cell.textContent;
  };
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    const order = x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y);
    return down ? -order : order;
  };
  all("th[aria-sort]", table).forEach((each) => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  parent.append(...items.sort(compare));
}

all("table.sortable").forEach(makeSortable);
showAges();
setInterval(showAges, 10000);
