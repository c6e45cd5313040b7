"""The clients of the small tools: `echo` asks whether a server answers, `blob` uploads and downloads files."""
