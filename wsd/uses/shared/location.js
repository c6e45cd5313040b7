// The position of the device, which the page follows while a button is pressed.

/**
 * `onposition` gets {lon, lat} again and again; `onwrong` gets "insecure", "denied" or "nowhere". Returns a function
 * that stops following.
 */
export function followDevice(button, onposition, onwrong) {
  let watch = null;

  function follow(isOn) {
    if (watch !== null) navigator.geolocation.clearWatch(watch);
    watch = null;
    if (isOn && !window.isSecureContext) onwrong("insecure");
    else if (isOn) watch = begin();
    button.setAttribute("aria-pressed", String(watch !== null));
  }

  function begin() {
    // lesson: geolocation
    return navigator.geolocation.watchPosition(
      ({coords}) => onposition({lon: coords.longitude, lat: coords.latitude}),
      ({code, PERMISSION_DENIED}) => {
        if (code === PERMISSION_DENIED) follow(false);
        onwrong(code === PERMISSION_DENIED ? "denied" : "nowhere"); // a device that has lost itself may be found again
      },
      {enableHighAccuracy: true},
    );
    // end of lesson
  }

  button.addEventListener("click", () => follow(watch === null));
  return () => follow(false);
}
