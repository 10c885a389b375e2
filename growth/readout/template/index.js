(() => {
  const form = document.getElementById("find");
  const words = document.getElementById("words");
  const state = document.getElementById("state");
  const rows = [...document.querySelectorAll("tbody tr")];
  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = (row.dataset.words + " " + row.textContent).toLowerCase();
      const found = wanted.every((word) => text.includes(word));
      row.hidden = !found || (state.value !== "" && row.dataset.state !== state.value);
    }
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  words.addEventListener("input", show);
  state.addEventListener("change", show);
  form.hidden = false;
  show();
})();
