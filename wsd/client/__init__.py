"""The clients of `wsd` commands: `echo` tests whether a server answers, `blob` uploads and downloads files."""
