/** What every bus promises, checked on the one in memory and on the official Pub/Sub emulator. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
