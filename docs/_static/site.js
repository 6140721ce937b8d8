/* The theme's arrows beside pages with pages below them have no name that a screen reader could say. */
for (const arrow of document.querySelectorAll("summary:has(.toctree-toggle)")) {
  arrow.ariaLabel = `pages of ${arrow.parentElement.parentElement.querySelector("a").textContent.trim()}`;
}

/* The gallery's cards hide the words of their links. */
for (const card of document.querySelectorAll(".sphx-glr-thumbcontainer a")) {
  card.ariaLabel = card.textContent.trim();
}
