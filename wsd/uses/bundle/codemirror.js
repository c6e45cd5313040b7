// CodeMirror 6 and its binding to Yjs: import {EditorView, basicSetup, yCollab} from "/uses/lib/codemirror.js";

export {Compartment, EditorState} from "@codemirror/state";
export {keymap} from "@codemirror/view";
export {basicSetup, EditorView} from "codemirror";
export {yCollab, yUndoManagerKeymap} from "y-codemirror.next";
