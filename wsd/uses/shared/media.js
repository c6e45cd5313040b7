// The camera, the microphone and the screen.

const PICTURE = {width: {ideal: 640}, height: {ideal: 360}, frameRate: {max: 24}};

/** What we send: one stream, whose picture is the camera's or the screen's. */
class Media {
  #camera;
  #screen = null;

  constructor(stream) {
    this.stream = stream;
    this.#camera = stream.getVideoTracks()[0] ?? null;
  }

  setAudible(isOn) {
    for (const track of this.stream.getAudioTracks()) track.enabled = isOn;
  }

  setVisible(isOn) {
    if (this.#camera) this.#camera.enabled = isOn;
  }

  /** Shows a screen in place of the camera. */
  show(screen) {
    this.#screen = screen;
    if (this.#camera) this.stream.removeTrack(this.#camera);
    this.stream.addTrack(screen);
  }

  /** Shows the camera again; returns its track, or null if there is none. */
  showCamera() {
    this.#screen?.stop();
    if (this.#screen) this.stream.removeTrack(this.#screen);
    if (this.#camera) this.stream.addTrack(this.#camera);
    this.#screen = null;
    return this.#camera;
  }

  close() {
    for (const track of [...this.stream.getTracks(), this.#camera, this.#screen]) track?.stop();
  }
}

/**
 * Asks for the camera and the microphone, then for one of them. Without any, the stream is empty, and `onwrong` gets
 * "insecure", since browsers offer them only to pages loaded by https or from this machine, or "denied".
 */
export async function openDevices(onwrong) {
  if (!navigator.mediaDevices) {
    onwrong("insecure");
    return new Media(new MediaStream());
  }
  for (const wanted of [{audio: true, video: PICTURE}, {audio: true}, {video: PICTURE}]) {
    try {
      return new Media(await navigator.mediaDevices.getUserMedia(wanted));
    } catch {
      // The next one asks for less.
    }
  }
  onwrong("denied");
  return new Media(new MediaStream());
}

/** The track of a screen or window that the visitor chooses, or null. */
export async function openScreen() {
  try {
    return (await navigator.mediaDevices.getDisplayMedia({video: true})).getVideoTracks()[0];
  } catch {
    return null;
  }
}
