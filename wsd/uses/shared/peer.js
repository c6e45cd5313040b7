// One connection to another browser (WebRTC 1.0), by the perfect negotiation of its section 10.7.

/** The servers that browsers need to find each other beyond one network, as a URL lists them; none while it is away. */
// lesson: ice
export async function iceServersAt(url) {
  const answer = await fetch(url).catch(() => null);
  return answer?.ok ? (await answer.json()).iceServers : [];
}
// end of lesson

/**
 * `send` takes a signal for the other side, whose signals are given to `take`. `onchange` is called when the connection
 * is established or lost, and when a stream of the other side has come.
 */
export class Peer {
  stream = null; // of the other side
  #connection;
  #options;
  #isOffering = false;

  /**
   * Of two sides one is polite. The stream is what we send.
   *
   * @param {{iceServers: RTCIceServer[], isPolite: boolean, stream: MediaStream, send: Function, onchange: Function}}
   */
  constructor(options) {
    this.#options = options;
    const connection = this.#connection = new RTCPeerConnection({iceServers: options.iceServers});
    connection.onnegotiationneeded = () => this.#offer();
    connection.onicecandidate = ({candidate}) => options.send({candidate});
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "failed") connection.restartIce();
      options.onchange();
    };
    connection.ontrack = ({streams: [stream]}) => {
      this.stream = stream;
      options.onchange();
    };
    for (const track of options.stream.getTracks()) connection.addTrack(track, options.stream);
  }

  /** Makes the first offer, which asks for sound and a picture even if we have none. */
  begin() {
    const kinds = this.#connection.getSenders().map(({track}) => track?.kind);
    for (const kind of ["audio", "video"]) {
      if (!kinds.includes(kind)) this.#connection.addTransceiver(kind, {direction: "recvonly"});
    }
  }

  get isConnected() {
    return this.#connection.connectionState === "connected";
  }

  async #offer() {
    try {
      this.#isOffering = true;
      await this.#connection.setLocalDescription();
      this.#options.send({description: this.#connection.localDescription});
    } finally {
      this.#isOffering = false;
    }
  }

  /** A signal of the other side: a description, or a candidate for a path between the two. */
  async take({description, candidate}) {
    const connection = this.#connection;
    if (!description) {
      await connection.addIceCandidate(candidate).catch(() => {}); // of an offer that was ignored or replaced
      return;
    }
    // lesson: negotiation
    const isCollision = description.type === "offer" && (this.#isOffering || connection.signalingState !== "stable");
    if (isCollision && !this.#options.isPolite) return;
    if (description.type === "answer" && connection.signalingState !== "have-local-offer") return; // it was repeated
    await connection.setRemoteDescription(description);
    if (description.type === "offer") {
      await connection.setLocalDescription();
      this.#options.send({description: connection.localDescription});
    }
    // end of lesson
  }

  /** Sends an offer again that has no answer yet. Returns whether there was one. */
  repeatOffer() {
    const isWaiting = this.#connection.signalingState === "have-local-offer";
    if (isWaiting) this.#options.send({description: this.#connection.localDescription});
    return isWaiting;
  }

  /** Both are present again: what was sent meanwhile is lost. */
  goOn() {
    if (!this.repeatOffer() && !this.isConnected && this.#connection.remoteDescription) this.#connection.restartIce();
  }

  /** Sends another picture, or none. */
  setVideo(track, stream) {
    const sender = this.#connection.getSenders().find((each) => each.track?.kind === "video" || each === this.#video);
    if (sender) {
      this.#video = sender;
      sender.replaceTrack(track);
    } else if (track) this.#video = this.#connection.addTrack(track, stream);
  }

  #video = null; // the sender of the picture, whose track may be none

  close() {
    this.#connection.close();
  }
}
