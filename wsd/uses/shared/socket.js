// A WebSocket that connects again when it was closed.

const AGAIN = 1000; // ms until the next attempt

export class Socket {
  #options;
  #socket = null;
  #isClosing = false; // by us

  /**
   * `open` makes a WebSocket, or a promise of one. `onopen` is called for each, `onclose` when one is lost, and
   * `onmessage` with the data of each message, where bytes are an ArrayBuffer.
   *
   * @param {{open: Function, onopen: Function, onmessage: Function, onclose: Function}} options
   */
  constructor(options) {
    this.#options = options;
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends a text or bytes. While there is no connection, nothing is sent. */
  send(data) {
    if (this.isOpen) this.#socket.send(data);
  }

  sendJson(value) {
    this.send(JSON.stringify(value));
  }

  /** Closes the connection, if there is one, and makes another one at once. */
  reconnect() {
    this.#isClosing = true;
    this.#socket?.close();
  }

  async #connect() {
    const {open, onopen, onmessage, onclose} = this.#options;
    let socket;
    try {
      socket = await open();
    } catch {
      setTimeout(() => this.#connect(), AGAIN);
      return;
    }
    [this.#socket, this.#isClosing] = [socket, false];
    socket.binaryType = "arraybuffer";
    socket.onopen = onopen;
    socket.onmessage = ({data}) => onmessage(data);
    socket.onclose = () => {
      if (!this.#isClosing) onclose();
      setTimeout(() => this.#connect(), this.#isClosing ? 0 : AGAIN);
    };
  }
}
