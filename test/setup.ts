/** What every test run needs before the first module of Google's is loaded. */

// No look-ups of a metadata server: there is none, and waiting for it costs seconds.
process.env.METADATA_SERVER_DETECTION = "none";
