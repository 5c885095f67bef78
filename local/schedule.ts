/** Computes when a scheduled function is due, from the two forms of schedules that Cloud Scheduler accepts. */
import { Cron } from "croner";

/** When a schedule is next due after the given time. */
export type Schedule = (after: Date) => Date;

const DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/**
 * Parses a schedule: cron ("0 9 * * 1"), or App Engine's text ("every 5 minutes", "every day 09:00", "every mon,fri 18:30").
 * @throws RangeError for other text, including rarer forms of App Engine
 */
export function parseSchedule(text: string, timeZone = "UTC"): Schedule {
  const words = text.trim().toLowerCase();
  if (!words.startsWith("every ")) return cron(text, text.trim(), timeZone);
  const interval = intervalOf(words);
  if (interval !== undefined) return (after) => new Date(after.getTime() + interval);
  const daily = dailyAsCron(words);
  if (daily !== undefined) return cron(text, daily, timeZone);
  throw unknown(text);
}

function cron(text: string, pattern: string, timeZone: string): Schedule {
  let parsed: Cron;
  try {
    parsed = new Cron(pattern, { timezone: timeZone, paused: true, mode: "5-part" });
  } catch {
    throw unknown(text);
  }
  return (after) => {
    const next = parsed.nextRun(after);
    if (!next) throw new RangeError(`The schedule "${text}" is never due`);
    return next;
  };
}

/** Milliseconds for "every 5 minutes" and "every 2 hours". */
function intervalOf(words: string): number | undefined {
  const [, count, unit] = /^every (\d+) (minutes|mins|hours)$/.exec(words) ?? [];
  if (count === undefined || Number(count) < 1) return undefined;
  return Number(count) * (unit?.startsWith("m") ? 60_000 : 3_600_000);
}

function dailyAsCron(words: string): string | undefined {
  const [, days = "", hour, minute] = /^every ([a-z, ]+) (\d\d):(\d\d)$/.exec(words) ?? [];
  if (hour === undefined || minute === undefined) return undefined;
  if (days === "day") return `${Number(minute)} ${Number(hour)} * * *`;
  const numbers = days
    .split(/[, ]+/)
    .map((day) => (day.length < 3 ? -1 : DAYS.findIndex((name) => name.startsWith(day))));
  return numbers.includes(-1) ? undefined : `${Number(minute)} ${Number(hour)} * * ${numbers.join(",")}`;
}

function unknown(text: string): RangeError {
  return new RangeError(
    `The schedule "${text}" is neither cron with five fields nor one of "every 5 minutes", "every 2 hours", "every day 09:00"`,
  );
}
