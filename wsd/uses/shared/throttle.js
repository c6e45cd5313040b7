// Does something often asked for only now and then.

/** A function that calls `action` at most once in so many milliseconds. The last call is never left out. */
export function throttled(action, milliseconds) {
  let timer = null;
  // lesson: throttle
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      action();
    }, milliseconds);
  };
  // end of lesson
}
