// Yjs and its WebSocket provider: import {Y, WebsocketProvider} from "/uses/lib/yjs.js";

export {WebsocketProvider} from "y-websocket";
export * as Y from "yjs";
