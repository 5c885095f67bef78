/** Generates mutants from the syntax tree of a file. The operators are those of Stryker, and a few that fit distributed code. */
import { parse } from "@babel/parser";

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

type Switch = "expression" | "statements" | "argument" | "spread";

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
  walk(program, (node) => {
    if (FUNCTION.test(node.type)) functions.push(node);
  });
  walk(program, (node) => mutate(node, source, emit));
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
    const same = inside.filter(({ mutant }) => mutant.start === start && mutant.end === end);
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
  if (kind === "spread") return `...(${isOn} ? ${replacement.slice(3)} : ${original.slice(3)})`;
  if (kind !== "argument") return `(${isOn} ? (${replacement}) : (${original}))`;
  const [, comma = "", last = ""] = /^(\s*,\s*)(.*)$/s.exec(original) ?? [];
  return `${comma}...(${isOn} ? [] : [${last}])`;
}

function walk(node: Node, visit: (node: Node) => void): void {
  // Types and imports have no behavior.
  if (node.type.startsWith("TS") && !/^TS(AsExpression|SatisfiesExpression|NonNullExpression)$/.test(node.type)) return;
  if (node.type === "ImportDeclaration") return;
  visit(node);
  for (const child of Object.values(node)) {
    for (const one of Array.isArray(child) ? child : [child]) {
      if (one && typeof one === "object" && typeof (one as Node).type === "string" && "start" in one)
        walk(one as Node, visit);
    }
  }
}

const list = (value: unknown) => value as Node[];
const one = (value: unknown) => value as Node;

function mutate(node: Node, source: (node: unknown) => string, emit: Emit): void {
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
      if (node.operator === "??") emit("drop default", node, source(left));
      break;
    }
    case "ExpressionStatement":
      if (isCall(one(node.expression))) emit("remove call", node, ";", "statements");
      break;
    case "ReturnStatement":
      if (node.argument && !isFalse(one(node.argument))) emit("return nothing", one(node.argument), "undefined");
      break;
    case "ThrowStatement":
      emit("swallow error", node, ";", "statements");
      break;
    case "BlockStatement":
      mutateBlock(list(node.body), source, emit);
      break;
    case "CallExpression":
    case "NewExpression": {
      const args = list(node.arguments);
      const [last, previous] = [args.at(-1), args.at(-2)];
      if (last && previous && !isFalse(last))
        emit("drop argument", { start: previous.end, end: last.end, loc: last.loc }, "", "argument");
      break;
    }
    case "ObjectExpression":
    case "ArrayExpression":
      for (const part of list(node.properties ?? node.elements)) {
        if (part?.type === "SpreadElement")
          emit("drop spread", part, node.type === "ObjectExpression" ? "...{}" : "...[]", "spread");
      }
      break;
    case "NumericLiteral":
      emit("scale constant", node, node.value === 0 ? "1" : String(Number(node.value) * 10));
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
