// Mouse, touch, pen and keyboard on the canvas.

const STEP = 4; // pixels of the picture that an arrow key moves the pen
const LARGE_STEP = 20;
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
const ERASER = 32; // of PointerEvent.buttons: the other end of a pen

/** Turns events into gestures, while `brush()` returns a brush; null is for who only watches. `ring` shows the pen. */
export function listen(painting, ring, brush) {
  const {canvas} = painting;
  let pointer = null; // the finger, pen or button that paints
  let keyed = null; // where the keyboard's pen is

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [
      (event.clientX - box.left) * canvas.width / box.width,
      (event.clientY - box.top) * canvas.height / box.height,
    ];
  }

  function pressure(event) {
    return event.pointerType === "pen" && event.pressure > 0 ? 0.25 + 1.5 * event.pressure : 1;
  }

  function show(point) {
    const used = brush();
    ring.hidden = !point || !used;
    if (ring.hidden) return;
    const scale = canvas.getBoundingClientRect().width / canvas.width;
    const size = Math.max(4, used.width * scale);
    ring.style.width = ring.style.height = `${size}px`;
    ring.style.translate = `${point[0] * scale - size / 2}px ${point[1] * scale - size / 2}px`;
    ring.classList.toggle("down", painting.isDown);
  }

  canvas.addEventListener("pointerdown", (event) => {
    const used = brush();
    if (!used || event.button && !(event.buttons & ERASER) || painting.isDown) return;
    canvas.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    painting.begin(place(event), event.buttons & ERASER ? {...used, isEraser: true} : used, pressure(event));
    show(place(event));
  });

  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") show(place(event));
    if (event.pointerId !== pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) painting.move(place(each), pressure(each));
  });

  for (const [name, end] of [["pointerup", "end"], ["pointercancel", "cancel"]]) {
    canvas.addEventListener(name, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      painting[end]();
      if (event.pointerType === "touch") show(null);
    });
  }

  canvas.addEventListener("pointerleave", () => show(keyed));

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !brush()) return;
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    keyed ??= [canvas.width / 2, canvas.height / 2];
    if (arrow) {
      const step = event.shiftKey ? LARGE_STEP : STEP;
      const most = [canvas.width, canvas.height];
      keyed = keyed.map((at, axis) => Math.min(most[axis], Math.max(0, at + arrow[axis] * step)));
      if (pointer === null) painting.move(keyed);
    } else if (painting.isDown) {
      if (pointer === null) painting.end();
    } else if (!event.repeat) {
      painting.begin(keyed, brush());
    }
    show(keyed);
  });

  canvas.addEventListener("blur", () => {
    if (keyed && pointer === null) painting.end();
    keyed = null;
    show(null);
  });
}
