"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const isNumber = head.dataset.kind === "number";
      const before = head.getAttribute("aria-sort");
      // Numbers begin with the largest, words with the first of the alphabet.
      const falls = before ? before === "ascending" : isNumber;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const rows = Array.from(body.rows);
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        // What is not defined comes last, whatever the direction.
        if (isNumber && (x === "" || y === "")) return (x === "") - (y === "");
        const order = isNumber ? Number(x) - Number(y) : x.localeCompare(y);
        return falls ? -order : order;
      });
      body.append(...rows);
    });
  });
}
const dialog = document.querySelector("dialog");
for (const button of document.querySelectorAll("button.zoom")) {
  button.addEventListener("click", () => {
    const picture = button.querySelector("img");
    const large = dialog.querySelector("img");
    large.src = picture.src;
    large.alt = picture.alt;
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());
