for (const time of document.querySelectorAll("time")) {
  const days = (Date.now() - Date.parse(time.dateTime)) / 86400000;
  const said = days < 1 ? "less than a day ago" : days < 2 ? "a day ago" : Math.floor(days) + " days ago";
  time.append(" (" + said + ")");
  if (days >= 14) time.classList.add("stale");
}
