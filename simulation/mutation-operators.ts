/** Generates mutants from the syntax tree of a file. The operators are those of Stryker, and some that fit distributed code. */
import { parse } from "@babel/parser";
import { ATTEMPT_STATES } from "../functions/src/attempts/attempt-states.js";
import {
  KITCHEN_STATUSES,
  ORDER_STATUSES,
  RELATION_STATES,
  SHIPMENT_STATUSES,
  STAGES,
} from "../functions/src/domain/order-lifecycle.js";

/** One small change of a file: the text between two offsets is replaced. */
export interface GeneratedMutant {
  file: string;
  operator: string;
  line: number;
  start: number;
  end: number;
  /** What is replaced, on one line and abbreviated. */
  from: string;
  /** The first line of it, trimmed. */
  text: string;
  replacement: string;
  /** How the mutant can be switched on and off while the program runs; undefined if it can't: its code runs once, when it is loaded. */
  switch: Switch | undefined;
}

type Switch = "expression" | "statements" | "argument" | "arguments" | "spread" | "property" | "element";

/** Longer texts are abbreviated to their beginning and their end, each of so many characters. */
const MAX_SIDE = 40;

/** The text on one line, without its middle if it is long. */
function abbreviated(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= 2 * MAX_SIDE ? line : `${line.slice(0, MAX_SIDE)} … ${line.slice(-MAX_SIDE)}`;
}

interface Node {
  type: string;
  start: number;
  end: number;
  loc: { start: { line: number } };
  [key: string]: unknown;
}

type Emit = (
  operator: string,
  target: Pick<Node, "start" | "end" | "loc">,
  replacement: string,
  kind?: Switch | "none",
) => void;

/** A comparison, a logical or an arithmetic operator, and what it becomes. */
const SWAPPED: Record<string, string> = {
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "===": "!==",
  "!==": "===",
  "&&": "||",
  "||": "&&",
  "+": "-",
  "-": "+",
  "*": "/",
  "/": "*",
};

/** An assignment, and what it becomes. */
const ASSIGNED: Record<string, string> = { "+=": "-=", "-=": "+=", "||=": "=", "??=": "=" };

const RELATION = /^[<>]=?$/;
const OPTIONAL = /^Optional(Member|Call)Expression$/;

/** Comparisons of times are shifted by so much: a lease, or longer than any other margin. */
const SHIFT_MS = 60_000;

/** Constants up to this one count something. */
const MAX_COUNT = 20;

/** Whether an expression is about times or durations in milliseconds. */
function isTime(text: string): boolean {
  return (
    /\b(now|until|deadline|since|started|getTime|\w+(At|Ms|Until)|\w+_MS)\b/.test(text) && !text.includes("hourOf")
  );
}

/** Every mutant of a file, in the order of the text. */
export function mutantsOf(file: string, text: string): GeneratedMutant[] {
  const mutants: GeneratedMutant[] = [];
  const functions: Node[] = [];
  const emit: Emit = (operator, { start, end, loc }, replacement, kind = "expression") => {
    if (text.slice(start, end) === replacement) return;
    const line = loc.start.line;
    const from = abbreviated(text.slice(start, end));
    // A constructor calls another one first, unconditionally.
    const isInFunction = functions.some((one) => one.start < start && end <= one.end);
    const canSwitch = isInFunction && kind !== "none" && !text.slice(start, end).includes("super(");
    mutants.push({
      file,
      operator,
      line,
      start,
      end,
      from,
      text: lines[line - 1]?.trim() ?? "",
      replacement,
      switch: canSwitch ? kind : undefined,
    });
  };
  const lines = text.split("\n");
  const source = (node: unknown) => {
    const { start, end, extra } = node as Node;
    const { parenthesized = false } = (extra ?? {}) as { parenthesized?: boolean };
    return parenthesized ? `(${text.slice(start, end)})` : text.slice(start, end);
  };
  const program = parse(text, { sourceType: "module", plugins: ["typescript"] }).program as unknown as Node;
  const words = new Words(program);
  walk(program, (node) => {
    if (FUNCTION.test(node.type)) functions.push(node);
    words.leaveOut(node, source);
  });
  const bodies = new Set(functions.map(({ body }) => body as unknown));
  const innerLinks = new Set<unknown>();
  walk(program, (node) => {
    mutate(node, bodies.has(node), source, emit);
    mutateData(node, source, emit);
    mutateText(node, words, emit);
    if (!OPTIONAL.test(node.type)) return;
    innerLinks.add(node.object ?? node.callee);
    if (!innerLinks.has(node)) mutateChain(node, source, emit);
  });
  return mutants.sort((one, other) => one.start - other.start || (one.operator < other.operator ? -1 : 1));
}

const FUNCTION = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression|ObjectMethod|ClassMethod)$/;

/** The text with all these mutants in it: each is numbered from `first` on, and switched on by `mutant-switch.ts`. */
export function withSwitches(text: string, mutants: readonly GeneratedMutant[], first = 0): string {
  const indexed = mutants.map((mutant, index) => ({ mutant, index: first + index }));
  const byExtent = (one: Indexed, other: Indexed) =>
    one.mutant.start - other.mutant.start || other.mutant.end - one.mutant.end;
  return rendered(text, 0, text.length, indexed.sort(byExtent));
}

interface Indexed {
  mutant: GeneratedMutant;
  index: number;
}

/** The text between two offsets. The mutants, which all lie there, are sorted: outer ones come before inner ones. */
function rendered(text: string, from: number, to: number, mutants: readonly Indexed[]): string {
  let result = "";
  let at = from;
  for (let next = 0; next < mutants.length; ) {
    const { start, end } = (mutants[next] as Indexed).mutant;
    const inside = mutants.slice(next).filter(({ mutant }) => mutant.end <= end);
    // What may be left out of a list is the outermost.
    const same = inside
      .filter(({ mutant }) => mutant.start === start && mutant.end === end)
      .sort((one, other) => Number(one.mutant.switch === "element") - Number(other.mutant.switch === "element"));
    const original = rendered(text, start, end, inside.slice(same.length));
    result += text.slice(at, start) + same.reduce(switched, original);
    at = end;
    next += inside.length;
  }
  return result + text.slice(at, to);
}

function switched(original: string, { mutant: { replacement, switch: kind }, index }: Indexed): string {
  const isOn = `globalThis.__mutant(${index})`;
  if (kind === "statements") return `{ if (!(${isOn})) { ${original}\n } }`;
  if (kind === "property") return `...(${isOn} ? {} : { ${original} })`;
  if (kind === "element") return `...(${isOn} ? [] : [${original}])`;
  if (kind === "arguments") return `...(${isOn} ? [${replacement}] : [${original}])`;
  if (kind === "spread") return `...(${isOn} ? ${replacement.slice(3)} : ${original.slice(3)})`;
  if (kind !== "argument") return `(${isOn} ? (${replacement}) : (${original}))`;
  const [, comma = "", last = ""] = /^(\s*,\s*)(.*)$/s.exec(original) ?? [];
  return `${comma}...(${isOn} ? [] : [${last}])`;
}

/** Visits the nodes that have a behavior: no types and no imports. */
function walk(node: Node, visit: (node: Node) => void): void {
  const isType =
    node.type.startsWith("TS") && !/^TS(AsExpression|SatisfiesExpression|NonNullExpression)$/.test(node.type);
  if (isType || /^(ImportDeclaration|ExportAllDeclaration)$/.test(node.type)) return;
  if (node.type === "ExportNamedDeclaration" && node.source) return;
  visit(node);
  for (const child of childrenOf(node)) walk(child, visit);
}

function everyNode(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const child of childrenOf(node)) everyNode(child, visit);
}

function childrenOf(node: Node): Node[] {
  // The step of a loop: without it, the loop would not end.
  const step = node.type === "ForStatement" ? node.update : undefined;
  return Object.values(node)
    .flat()
    .filter(
      (child) => child && typeof child === "object" && typeof (child as Node).type === "string" && "start" in child,
    )
    .filter((child) => child !== step) as Node[];
}

const list = (value: unknown) => value as Node[];
const one = (value: unknown) => value as Node;

function mutate(node: Node, isWholeFunction: boolean, source: (node: unknown) => string, emit: Emit): void {
  switch (node.type) {
    case "IfStatement":
    case "ConditionalExpression":
      emit("negate condition", one(node.test), `!(${source(node.test)})`);
      emit("condition is true", one(node.test), "true");
      emit("condition is false", one(node.test), "false");
      break;
    case "BinaryExpression":
    case "LogicalExpression": {
      const [left, right] = [one(node.left), one(node.right)];
      const swapped = SWAPPED[String(node.operator)];
      if (swapped) emit("swap operator", node, `(${source(left)} ${swapped} ${source(right)})`);
      if (node.operator === "??") {
        emit("drop default", node, source(left));
        emit("always default", node, source(right));
      }
      if (node.operator === "&&" || node.operator === "||") {
        emit("only left operand", node, source(left));
        emit("only right operand", node, source(right));
      }
      if (RELATION.test(String(node.operator)) && isTime(source(node)))
        for (const sign of ["+", "-"])
          emit("shift time", node, `(${source(left)} ${node.operator} ${source(right)} ${sign} ${SHIFT_MS})`);
      break;
    }
    case "ExpressionStatement":
      if (isCall(one(node.expression))) emit("remove call", node, ";", "statements");
      if (/^(Assignment|Update)Expression$/.test(one(node.expression).type))
        emit("remove assignment", node, ";", "statements");
      break;
    case "ForOfStatement":
      emit("only the first", one(node.right), `[...${source(node.right)}].slice(0, 1)`);
      emit("skip the first", one(node.right), `[...${source(node.right)}].slice(1)`);
      break;
    case "ReturnStatement":
      if (node.argument && !isFalse(one(node.argument))) emit("return nothing", one(node.argument), "undefined");
      break;
    case "ThrowStatement":
      emit("swallow error", node, ";", "statements");
      break;
    case "BlockStatement":
      mutateBlock(list(node.body), source, emit);
      if (!isWholeFunction) removeExit(list(node.body), emit);
      break;
    case "CallExpression":
    case "NewExpression": {
      const args = list(node.arguments);
      const [last, previous] = [args.at(-1), args.at(-2)];
      if (last && previous && !isFalse(last))
        emit("drop argument", { start: previous.end, end: last.end, loc: last.loc }, "", "argument");
      swapArguments(node, source, emit);
      if (node.type === "CallExpression") mutateMethod(node, source, emit);
      break;
    }
    case "NumericLiteral":
      emit("scale constant", node, node.value === 0 ? "1" : String(Number(node.value) * 10));
      if (Number(node.value) > 1 && Number(node.value) <= MAX_COUNT)
        emit("lower constant", node, String(Number(node.value) - 1));
      break;
    case "BooleanLiteral":
      emit("flip boolean", node, String(!node.value));
      break;
    case "UnaryExpression":
      if (node.operator === "!") emit("drop negation", node, source(node.argument));
      break;
    case "AwaitExpression":
      emit("do not await", node, `(${source(node.argument)} as never)`);
      break;
  }
}

/** Objects, lists and assignments: what is left out, or put in the wrong way round. */
function mutateData(node: Node, source: (node: unknown) => string, emit: Emit): void {
  switch (node.type) {
    case "ObjectExpression": {
      for (const part of list(node.properties)) {
        if (part.type === "SpreadElement") emit("drop spread", part, "...{}", "spread");
        else if (!isFalse(one(part.value))) emit("drop property", part, "...{}", "property");
      }
      break;
    }
    case "ArrayExpression":
      for (const part of list(node.elements)) {
        if (part?.type === "SpreadElement") emit("drop spread", part, "...[]", "spread");
        else if (part) emit("drop element", part, "...[]", "element");
      }
      break;
    case "AssignmentExpression": {
      const assigned = ASSIGNED[String(node.operator)];
      if (assigned) emit("swap assignment", node, `${source(node.left)} ${assigned} ${source(node.right)}`);
      break;
    }
    case "UpdateExpression":
      emit("swap assignment", node, `${source(node.argument)}${node.operator === "++" ? "--" : "++"}`);
      break;
  }
}

/** Two arguments in a row that look alike, the wrong way round. */
function swapArguments(node: Node, source: (node: unknown) => string, emit: Emit): void {
  const args = list(node.arguments);
  const [first, last] = [args[0], args.at(-1)];
  if (!first || !last || /^Math\.(min|max)$/.test(source(node.callee))) return;
  for (const [index, argument] of args.entries()) {
    const next = args[index + 1];
    if (!next || !isAlike(argument, next) || /\bports$/i.test(source(next))) continue;
    const swapped = args.with(index, next).with(index + 1, argument);
    const all = { start: first.start, end: last.end, loc: argument.loc };
    emit("swap arguments", all, swapped.map(source).join(", "), "arguments");
  }
}

function isAlike(one: Node, other: Node): boolean {
  const isNamed = ({ type }: Node) => /^(Identifier|(Optional)?MemberExpression)$/.test(type);
  const isText = ({ type }: Node) => /^(StringLiteral|TemplateLiteral)$/.test(type);
  return (isNamed(one) && isNamed(other)) || (isText(one) && (isText(other) || isNamed(other)));
}

/** A method, and the one that it becomes. */
const METHODS = new Map(
  Object.entries({
    some: "every",
    every: "some",
    find: "findLast",
    findLast: "find",
    startsWith: "endsWith",
    endsWith: "startsWith",
    min: "max",
    max: "min",
    floor: "ceil",
    ceil: "floor",
    shift: "pop",
  }),
);

/** Methods without which there is still the object that they are called on, and functions without which there is still the argument. */
const OMITTED_METHODS = /^(filter|sort|toSorted|reverse|trim|slice)$/;
const OMITTED_FUNCTIONS = /^(storable\w+|String|Number|Math\.\w+)$/;

function mutateMethod(node: Node, source: (node: unknown) => string, emit: Emit): void {
  const callee = one(node.callee);
  const [argument, end, ...others] = list(node.arguments);
  if (argument && argument.type !== "SpreadElement" && !end && OMITTED_FUNCTIONS.test(source(callee)))
    emit("omit call", node, source(argument));
  if (callee.type !== "MemberExpression" || callee.computed) return;
  const name = source(callee.property);
  const swapped = METHODS.get(name);
  const args = list(node.arguments).map(source).join(", ");
  if (swapped) emit("swap method", node, `${source(callee.object)}.${swapped}(${args})`);
  if (OMITTED_METHODS.test(name) && !end) emit("omit call", node, source(callee.object));
  if (name === "slice" && end && others.length === 0) emit("lower bound", end, `${source(end)} - 1`);
}

/** Texts that mean something to the program: states, kinds, codes, and the parts of keys and paths. */
function mutateText(node: Node, words: Words, emit: Emit): void {
  if (words.isLeftOut(node)) return;
  if (node.type === "StringLiteral") {
    for (const other of words.insteadOf(String(node.value))) emit("swap word", node, JSON.stringify(other));
  }
  if (node.type === "RegExpLiteral") {
    const { pattern, flags } = node as unknown as { pattern: string; flags: string };
    if (pattern.startsWith("^")) emit("loosen pattern", node, `/${pattern.slice(1)}/${flags}`);
    if (pattern.endsWith("$")) emit("loosen pattern", node, `/${pattern.slice(0, -1)}/${flags}`);
  }
  if (node.type === "TemplateLiteral") {
    const texts = list(node.quasis).map(({ value }) => (value as { raw: string }).raw);
    if (texts.join("").trim().split(/\s+/).length > 1 || texts.some((text) => /[,;:] /.test(text))) return;
    for (const part of list(node.expressions)) emit("drop part of a key", part, '""');
  }
}

/** An optional chain without the question mark of one of its links. */
function mutateChain(chain: Node, source: (node: unknown) => string, emit: Emit): void {
  const text = source(chain);
  for (let link = chain; OPTIONAL.test(link.type); link = one(link.object ?? link.callee)) {
    if (link.optional !== true) continue;
    const at = text.indexOf("?.", one(link.object ?? link.callee).end - chain.start);
    const dot = link.type === "OptionalMemberExpression" && !link.computed ? "." : "";
    emit("drop optional chaining", chain, text.slice(0, at) + dot + text.slice(at + 2));
  }
}

/** The words of the domain that are not in a union type of the file itself. */
const VOCABULARIES: readonly (readonly string[])[] = [
  Object.keys(ATTEMPT_STATES),
  Object.keys(ORDER_STATUSES),
  Object.keys(KITCHEN_STATUSES),
  Object.keys(SHIPMENT_STATUSES),
  Object.keys(RELATION_STATES),
  Object.keys(STAGES),
  ["create", "update", "delete"],
  ["advanced", "reported", "skipped", "blocked"],
  ["park", "idempotency-key"],
];

/** What takes text for people or for the log. */
const SPOKEN = /(\blog\.\w+|^(skipped|blocked|rejected|callError|\w+Error|join|split|toString))$/;

/** The words of a file, and what each may be confused with. */
class Words {
  private readonly unions: (readonly string[])[] = [];
  private readonly leftOut = new Set<Node>();

  constructor(program: Node) {
    everyNode(program, (node) => {
      if (node.type !== "TSUnionType") return;
      const byKey = new Map<string, string[]>();
      const note = (key: string, type: Node | undefined) => {
        const literal = type?.type === "TSLiteralType" ? one(type.literal) : undefined;
        if (literal?.type === "StringLiteral") byKey.set(key, [...(byKey.get(key) ?? []), String(literal.value)]);
      };
      for (const type of list(node.types)) {
        note("", type);
        for (const member of list(type.members ?? [])) {
          const annotation = member.typeAnnotation as { typeAnnotation?: Node } | undefined;
          if (member.type === "TSPropertySignature") note(String(one(member.key).name), annotation?.typeAnnotation);
        }
      }
      this.unions.push(...[...byKey.values()].filter((words) => new Set(words).size > 1));
    });
  }

  /** Leaves out the texts in this node that mean nothing to the program: names of fields, and what people and logs read. */
  leaveOut(node: Node, source: (node: unknown) => string): void {
    if (node.type === "ObjectProperty" && !node.computed) this.leftOut.add(one(node.key));
    const isTypeOf = node.type === "BinaryExpression" && one(node.left).operator === "typeof";
    const callee = node.type === "CallExpression" || node.type === "NewExpression" ? one(node.callee) : undefined;
    const called =
      callee &&
      source(callee.type === "MemberExpression" && !/\blog\./.test(source(callee)) ? callee.property : callee);
    const isLine =
      node.type === "ObjectExpression" && list(node.properties).some(({ key }) => key && one(key).name === "component");
    if (!isTypeOf && !isLine && !(called && SPOKEN.test(called))) return;
    everyNode(node, (inner) => this.leftOut.add(inner));
  }

  isLeftOut(node: Node): boolean {
    return this.leftOut.has(node);
  }

  /** What a word may be confused with: another one of its union, or no word. */
  insteadOf(word: string): string[] {
    const words = [...this.unions, ...VOCABULARIES].find((known) => known.includes(word));
    if (words) return [words[(words.indexOf(word) + 1) % words.length] ?? ""];
    return /^[A-Za-z][A-Za-z_-]+$/.test(word) ? [""] : [];
  }
}

function mutateBlock(body: Node[], source: (node: unknown) => string, emit: Emit): void {
  const [first, last] = [body[0], body.at(-1)];
  if (first && last && body.length > 0)
    emit("empty block", { start: first.start, end: last.end, loc: first.loc }, "", "statements");
  for (const [index, statement] of body.entries()) {
    const next = body[index + 1];
    if (!next || !hasAwait(statement) || !hasAwait(next)) continue;
    emit(
      "swap awaits",
      { start: statement.start, end: next.end, loc: statement.loc },
      `${source(next)}\n${source(statement)}`,
      "none",
    );
  }
}

/** What leaves a block after other statements. If it is the only one, its condition is mutated. */
function removeExit(body: Node[], emit: Emit): void {
  const last = body.at(-1);
  if (last && body.length > 1 && /^(Return|Continue|Break)Statement$/.test(last.type))
    emit("remove exit", last, ";", "statements");
}

/** Undefined, or what means the same to the code that gets undefined instead. */
function isFalse({ type, value, name }: Node): boolean {
  return (type === "BooleanLiteral" && value === false) || (type === "Identifier" && name === "undefined");
}

function isCall(expression: Node): boolean {
  const inner = expression.type === "AwaitExpression" ? one(expression.argument) : expression;
  return inner.type === "CallExpression";
}

function hasAwait(statement: Node): boolean {
  let found = false;
  if (statement.type !== "ExpressionStatement" && statement.type !== "VariableDeclaration") return false;
  walk(statement, ({ type }) => {
    found ||= type === "AwaitExpression";
  });
  return found;
}
