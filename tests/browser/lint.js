/**
 * Looks at what the widget shows now as a strict reader of the law and of WCAG would: says in plain words what is
 * unfair, unreadable or out of reach, and nothing where all is well.
 *
 * `texts` are the notice's own in the language shown, `says` what the layer has to name.
 */
({ texts, says }) => {
  const findings = new Set();
  const root = document.getElementById("csvc-root");
  const centre = root?.querySelector("dialog");
  const layer = centre ?? root?.querySelector("section");
  if (!layer) return ["nothing is shown"];
  const find = (selector) => [...layer.querySelectorAll(selector)];
  const own = (name) => layer.querySelector(`#csvc-${name}`);

  // ---- Colours

  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  /** Red, green, blue (0 to 255) and alpha (0 to 1) of any colour that CSS knows. */
  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }

  /** A colour laid over an opaque one. */
  function over([red, green, blue, alpha], under, opacity) {
    return [red, green, blue].map((part, index) => part * alpha * opacity + under[index] * (1 - alpha * opacity));
  }

  /** What an element stands on, its own background included, and how opaque it is itself. */
  function ground(element) {
    const { under, opacity } = element === layer ? { under: [255, 255, 255], opacity: 1 } : ground(element.parentElement);
    const style = getComputedStyle(element);
    const combined = opacity * style.opacity;
    return { under: over(rgba(style.backgroundColor), under, combined), opacity: combined };
  }

  function luminance(colour) {
    const [red, green, blue] = colour.map((level) => {
      const part = level / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function contrast(one, other) {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }

  // ---- Places

  /** The part of an element that is not scrolled away or cut off. */
  function visiblePart(element) {
    const part = element.getBoundingClientRect();
    let { left, top, right, bottom } = part;
    const cut = (box) => {
      left = Math.max(left, box.left);
      top = Math.max(top, box.top);
      right = Math.min(right, box.right);
      bottom = Math.min(bottom, box.bottom);
    };
    cut({ left: 0, top: 0, right: innerWidth, bottom: innerHeight });
    for (let above = element.parentElement; above && above !== root; above = above.parentElement) {
      if (getComputedStyle(above).overflow !== "visible") cut(above.getBoundingClientRect());
    }
    return { left, top, right, bottom, whole: part, width: right - left, height: bottom - top };
  }

  const inView = (element) => {
    const { width, height, whole } = visiblePart(element);
    return width > whole.width - 1 && height > whole.height - 1;
  };

  /** Points of a box: its middle, and near the middle of each side; corners may be round. */
  function points({ left, top, right, bottom }, inset) {
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    return [[x, y], [left + inset, y], [right - inset, y], [x, top + inset], [x, bottom - inset]];
  }

  const named = (element) =>
    `“${(element.getAttribute("aria-label") ?? element.innerText ?? "").trim().slice(0, 40)}”`;

  // ---- Two choices that weigh the same

  const PLACES = /^(left|top|right|bottom|inset|perspective-origin|transform-origin)/;

  function weighAlike(one, other, which) {
    if (one.tagName !== other.tagName) findings.add(`${which} are not the same kind of element`);
    if (one.parentElement !== other.parentElement) findings.add(`${which} are not in the same place`);
    if (one.nextElementSibling !== other) findings.add(`${which} do not stand side by side`);
    for (const pseudo of [null, "::before", "::after"]) {
      const [style, otherStyle] = [one, other].map((element) => getComputedStyle(element, pseudo));
      for (const name of style) {
        if (PLACES.test(name) || style.getPropertyValue(name) === otherStyle.getPropertyValue(name)) continue;
        findings.add(`${which} differ in ${name}`);
      }
    }
    const [box, otherBox] = [one, other].map((element) => element.getBoundingClientRect());
    for (const side of ["width", "height"]) {
      if (Math.abs(box[side] - otherBox[side]) > 0.5) findings.add(`${which} differ in ${side}`);
    }
  }

  const accept = own("accept");
  const reject = own("reject");
  if (accept && reject) weighAlike(accept, reject, "accept and reject");
  else findings.add("accept and reject are not on the same layer");
  for (const placeholder of document.querySelectorAll(".csvc-embed")) {
    const buttons = placeholder.querySelectorAll("button");
    if (buttons.length === 2) weighAlike(...buttons, "the buttons of a placeholder");
  }

  const choices = find(".csvc-actions button");
  if (choices.length !== 3) findings.add(`there are ${choices.length} buttons, not three`);
  for (const button of choices) {
    if (!/[\p{L}\p{N}\p{S}]/u.test(button.innerText)) findings.add("a button says nothing");
    if (!inView(button)) findings.add(`${named(button)} is not in view`);
    if (button.disabled || button.closest("[inert]")) findings.add(`${named(button)} cannot be pressed`);
    if (button === document.activeElement || button.autofocus) findings.add(`${named(button)} has the focus already`);
    const { under, opacity } = ground(button.parentElement);
    const style = getComputedStyle(button);
    const border = parseFloat(style.borderTopWidth) >= 1 ? over(rgba(style.borderTopColor), under, opacity) : under;
    if (Math.max(contrast(ground(button).under, under), contrast(border, under)) < 3) {
      findings.add(`${named(button)} does not stand out from what is around it`);
    }
  }

  // ---- Nothing chosen for the visitor

  if (!centre && find("input").length) findings.add("the first layer has boxes");
  for (const box of find("input")) {
    if (box.type !== "checkbox") findings.add(`${named(box)} is a control of another kind`);
    if (box.disabled) findings.add(`${named(box)} cannot be changed`);
    if (box.checked && !consentService.choices?.[box.dataset.purpose]) findings.add(`${named(box)} is already ticked`);
  }
  if (centre) {
    const essential = find("article").filter((article) => article.querySelector("h4 span"));
    if (!essential.length) findings.add("no essential purpose is named");
    for (const purpose of essential) {
      if (purpose.querySelector("input,button,select")) findings.add("an essential purpose has a control");
      if (!purpose.querySelector("h4 + p")?.innerText.trim()) findings.add("an essential purpose is not explained");
    }
    if (!layer.innerText.includes(texts.essential_reason)) findings.add("no reason is given for essential purposes");
  }

  const close = own("close");
  if (!close || !inView(close)) findings.add("there is no way to close the layer in view");
  const label = centre ? texts.close : texts.dismiss;
  if (close && close.getAttribute("aria-label") !== label) findings.add("the cross does not say that nothing is chosen");
  if (close?.closest(".csvc-actions")) findings.add("the cross stands among the choices");

  // ---- What is said

  if (!find('a[href^="http"]').length) findings.add("the policy is not linked");
  for (const what of says) if (!layer.textContent.includes(what)) findings.add(`it does not say “${what}”`);
  if (/\{(controller|purposes?|days|name)\}/.test(layer.textContent)) findings.add("a gap in the text is not filled");

  // Browsers name the method one way or the other.
  const locale = new Intl.Locale(root.lang || "und");
  const { direction } = locale.textInfo ?? locale.getTextInfo();
  if (!root.lang) findings.add("the texts have no language");
  if (root.dir !== direction) findings.add(`the texts run ${root.dir || "nowhere"}, not ${direction}`);
  if (getComputedStyle(layer).direction !== root.dir) findings.add("the layer does not run as its texts");
  for (const element of find("[lang],[dir]")) {
    if (element.tagName !== "OPTION") findings.add(`${named(element)} has a language of its own`);
  }

  const walker = document.createTreeWalker(layer, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.tagName === "OPTION" || !element.checkVisibility()) continue;
    const { under, opacity } = ground(element);
    const found = contrast(over(rgba(getComputedStyle(element).color), under, opacity), under);
    if (found < 4.5) findings.add(`${named(element)} has a contrast of ${found.toFixed(1)}`);
    if (parseFloat(getComputedStyle(element).fontSize) < 12) findings.add(`${named(element)} is small print`);
  }

  // ---- Within reach

  if (document.documentElement.scrollWidth > innerWidth) findings.add("the page scrolls sideways");
  if (getComputedStyle(document.documentElement).overflow !== "visible" ||
      getComputedStyle(document.body).overflow !== "visible") findings.add("the page cannot be scrolled");
  for (const element of [layer, ...find("*")]) {
    if (getComputedStyle(element).display === "inline" || !element.checkVisibility()) continue;
    if (element.clientWidth && element.scrollWidth > element.clientWidth + 1) findings.add(`${named(element)} is cut off`);
  }
  for (const target of find("button,label,select,summary")) {
    const { width, height } = target.getBoundingClientRect();
    if (Math.min(width, height) < 24) findings.add(`${named(target)} is too small to hit`);
  }
  for (const [x, y] of points(visiblePart(layer), 6)) {
    if (!root.contains(document.elementFromPoint(x, y))) findings.add("something lies on the layer");
  }
  for (const control of [...choices, close]) {
    if (!control || !inView(control)) continue;
    for (const [x, y] of points(visiblePart(control), 6)) {
      if (!control.contains(document.elementFromPoint(x, y))) findings.add(`something lies on ${named(control)}`);
    }
  }
  return [...findings].sort();
}
