// Keeps the line at the top of the page true while the tenant moves.
const line = document.querySelector(".standing");

async function look() {
  try {
    const answer = await fetch("/standing");
    if (answer.ok) {
      const standing = await answer.json();
      line.dataset.step = standing.step;
      line.dataset.cluster = standing.cluster;
      line.querySelector(".words").textContent = standing.words;
    }
  } catch {
    // a worker that is being replaced: ask again
  }
  setTimeout(look, 500);
}

if (line) look();
