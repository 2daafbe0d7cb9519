(() => {
  const show = () => {
    const banner = document.createElement("div");
    banner.style.cssText =
      "position:fixed;left:0;right:0;bottom:0;padding:16px;background:#fff;border-top:1px solid #888;font:16px/1.5 sans-serif";
    banner.append("We use cookies to count visits and to remember your settings. ");
    for (const [id, text] of [["accept", "Accept all"], ["reject", "Reject all"]]) {
      const button = document.createElement("button");
      button.id = id;
      button.textContent = text;
      button.onclick = () => {
        localStorage.setItem("choice", id);
        banner.remove();
      };
      banner.append(button);
    }
    document.body.append(banner);
  };
  if (document.body) show();
  else addEventListener("DOMContentLoaded", show);
})();
