/** The schedules that Cloud Scheduler accepts: unix-cron, and App Engine's sentences such as "every 5 minutes". */

/** One field of a cron schedule: its minimum, its maximum, and the names of values. */
interface CronField {
  name: string;
  least: number;
  most: number;
  names?: readonly string[];
}

const MONTH_NAMES = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAY_NAMES = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const CRON_FIELDS: readonly CronField[] = [
  { name: "minute", least: 0, most: 59 },
  { name: "hour", least: 0, most: 23 },
  { name: "day of the month", least: 1, most: 31 },
  { name: "month", least: 1, most: 12, names: MONTH_NAMES },
  { name: "day of the week", least: 0, most: 7, names: DAY_NAMES },
];

/** The maximum length of each month, in days. */
const MONTH_LENGTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const ALLOWED_SCHEDULES =
  'must be cron with five fields, such as "*/5 * * * *", or a sentence such as "every 5 minutes", "every 2 hours" or "every day 09:00"';

/** Why Cloud Scheduler rejects a schedule; undefined if it accepts it. */
export function scheduleProblem(schedule: string): string | undefined {
  return /^\s*[a-z]|\bof\b|:/i.test(schedule) ? sentenceProblem(schedule) : cronProblem(schedule);
}

function cronProblem(schedule: string): string | undefined {
  const texts = schedule.trim().split(/\s+/);
  if (texts.length !== CRON_FIELDS.length || schedule.trim() === "") return ALLOWED_SCHEDULES;
  const values = CRON_FIELDS.map((field, at) => valuesOf(texts[at] ?? "", field));
  const wrong = CRON_FIELDS.filter((_, at) => values[at] === undefined);
  if (wrong.length > 0) return `has a wrong ${wrong.map(({ name }) => name).join(" and ")}: ${ALLOWED_SCHEDULES}`;
  const [, , days = [], months = []] = values;
  if (texts[4] === "*" && !isEverDue(days, months)) return "is never due: no such month has such a day";
  return undefined;
}

/** The values of a field, or undefined if it is invalid. */
function valuesOf(text: string, field: CronField): number[] | undefined {
  const parts = text.split(",").map((part) => valuesOfPart(part, field));
  return parts.includes(undefined) ? undefined : parts.flatMap((values) => values ?? []);
}

/** The values of one comma-separated part. */
function valuesOfPart(part: string, { least, most, names = [] }: CronField): number[] | undefined {
  const [, range = "", step] = /^([^/]+)(?:\/(\d{1,2}))?$/.exec(part) ?? [];
  const isSpan = range === "*" || range.includes("-");
  // A step needs a range.
  if (step !== undefined && !isSpan) return undefined;
  const [from, to = from, ...more] =
    range === "*" ? [least, most] : range.split("-").map((one) => fieldValue(one, names));
  if (from === undefined || to === undefined || more.length > 0) return undefined;
  const by = Number(step ?? 1);
  if (from < least || to > most || from > to || by < 1 || by > most) return undefined;
  return Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, index) => from + index * by);
}

function fieldValue(text: string, names: readonly string[]): number | undefined {
  if (/^\d{1,2}$/.test(text)) return Number(text);
  const at = names.indexOf(text.toUpperCase());
  return at < 0 ? undefined : at + (names.length === 12 ? 1 : 0);
}

const isEverDue = (days: number[], months: number[]) =>
  months.some((month) => days.some((day) => day <= (MONTH_LENGTHS[month - 1] ?? 0)));

const list = (one: string) => `(?:${one})(?: ?, ?(?:${one}))*`;

const TIME = "(?:[01]?\\d|2[0-3]):[0-5]\\d";
const WEEKDAYS = list("mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?");
const ORDINALS = list("1st|first|2nd|second|3rd|third|4th|fourth|5th|fifth");
const MONTHS = list(
  "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?",
);

const INTERVAL = new RegExp(
  `^every (?<count>\\d{1,5}) (?<unit>minutes|mins|hours)(?<synchronized> synchronized)?(?: from ${TIME} to ${TIME})?$`,
);
const ON_WEEKDAYS = new RegExp(
  `^(?:every|${ORDINALS}) (?:day|${WEEKDAYS})(?: of (?:month|quarter|${MONTHS}))? ${TIME}$`,
);
const ON_DAYS = new RegExp(`^(?<days>${list("\\d{1,2}")}) of (?<months>month|quarter|${MONTHS}) ${TIME}$`);

const MINUTES_A_DAY = 1440;

/** App Engine's sentences are lower case, and have no singular of "minutes" and "hours". */
function sentenceProblem(schedule: string): string | undefined {
  const text = schedule.trim().replace(/\s+/g, " ");
  const interval = INTERVAL.exec(text)?.groups;
  if (interval) return intervalProblem(text, interval);
  const dates = ON_DAYS.exec(text)?.groups;
  if (dates) return datesProblem(dates);
  if (ON_WEEKDAYS.test(text)) return undefined;
  const hint = /^every 1 (minute|hour)$/i.test(text)
    ? `; Cloud Scheduler knows no singular: write "every 1 ${text.slice(8).toLowerCase()}s"`
    : "";
  return `${ALLOWED_SCHEDULES}${hint}`;
}

type Groups = Record<string, string | undefined>;

function intervalProblem(text: string, { count, unit, synchronized }: Groups): string | undefined {
  const minutes = Number(count) * (unit === "hours" ? 60 : 1);
  if (minutes === 0) return `has a wrong interval: ${ALLOWED_SCHEDULES}`;
  if (!synchronized) return undefined;
  if (text.includes(" synchronized from "))
    return `can't be both synchronized and within a time of day: ${ALLOWED_SCHEDULES}`;
  return MINUTES_A_DAY % minutes === 0 ? undefined : "can be synchronized only if the interval divides a day evenly";
}

function datesProblem({ days = "", months = "" }: Groups): string | undefined {
  const numbers = months.split(",").map((name) => MONTH_NAMES.indexOf(name.trim().slice(0, 3).toUpperCase()) + 1);
  // "month" and "quarter" are not names of months.
  const isOfEvery = numbers.includes(0);
  const isGood = (day: number) => day >= 1 && day <= 31 && (isOfEvery || isEverDue([day], numbers));
  return days.split(",").map(Number).every(isGood) ? undefined : "names a day that no such month has";
}
