/** Finds what a process remembers between requests, by reading its source. */
import { readFile } from 'node:fs/promises';
import ts from 'typescript';

/** What holds entries, or turns of something. */
const COLLECTIONS = /^(Map|Set|WeakMap|WeakSet|LRUCache|ExpiringMap|TokenCache|Serial|Semaphore)$/;
/** Functions that run something from time to time. */
const REPEATS = /^(setInterval|every)$/;

/**
 * Names of the state in a file that may outlive a request:
 * - fields of classes that hold a collection, a list that begins empty or a timer;
 * - collections of a module, unless they are constants that are filled where they are made;
 * - collections in a function that returns something that uses them;
 * - `every` and `setInterval` where they are called.
 */
export async function stateIn(file: string): Promise<string[]> {
  const source = ts.createSourceFile(file, await readFile(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const found = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyDeclaration(node) && isKept(node)) found.add(node.name.getText());
    else if (ts.isVariableDeclaration(node) && isSharedVariable(node)) found.add(node.name.getText());
    else if (ts.isCallExpression(node) && REPEATS.test(node.expression.getText())) found.add(node.expression.getText());
    ts.forEachChild(node, visit);
  };
  visit(source);
  return [...found].toSorted();
}

function isKept({ type, initializer, parent, name }: ts.PropertyDeclaration): boolean {
  if (type && /\b(NodeJS\.Timeout|Cancel)\b/.test(type.getText())) return true;
  const value = initializer ?? assigned(parent, name.getText());
  if (value === undefined) return false;
  return isCollection(value) || (ts.isArrayLiteralExpression(value) && value.elements.length === 0);
}

/** What a constructor gives to a field. */
function assigned(owner: ts.ClassLikeDeclaration, field: string): ts.Expression | undefined {
  const body = owner.members.find((member) => ts.isConstructorDeclaration(member))?.body;
  for (const statement of body?.statements ?? []) {
    if (!ts.isExpressionStatement(statement) || !ts.isBinaryExpression(statement.expression)) continue;
    const { left, right } = statement.expression;
    if (left.getText() === `this.${field}`) return right;
  }
  return undefined;
}

function isCollection(value: ts.Expression): boolean {
  return ts.isNewExpression(value) && COLLECTIONS.test(value.expression.getText());
}

function isSharedVariable(node: ts.VariableDeclaration): boolean {
  const { initializer, name } = node;
  if (!initializer || !ts.isNewExpression(initializer) || !isCollection(initializer)) return false;
  const maker = ts.findAncestor(node, (one) => ts.isFunctionLike(one));
  if (!maker) return !isFilled(initializer);
  let shared = false;
  const uses = (inner: ts.Node): void => {
    if (ts.isIdentifier(inner) && inner.text === name.getText()) shared = true;
    ts.forEachChild(inner, uses);
  };
  const visit = (inner: ts.Node): void => {
    if (ts.isReturnStatement(inner) && inner.expression) functionsIn(inner.expression).forEach(uses);
    if (!ts.isFunctionLike(inner)) ts.forEachChild(inner, visit);
  };
  ts.forEachChild(maker, visit);
  return shared;
}

function isFilled({ arguments: given, expression }: ts.NewExpression): boolean {
  return /^(Map|Set)$/.test(expression.getText()) && (given?.length ?? 0) > 0;
}

/** Functions that a value is or has. */
function functionsIn(value: ts.Expression): ts.Node[] {
  if (ts.isArrowFunction(value) || ts.isFunctionExpression(value)) return [value];
  if (!ts.isObjectLiteralExpression(value)) return [];
  return value.properties.filter(
    (property) =>
      ts.isMethodDeclaration(property) ||
      (ts.isPropertyAssignment(property) && functionsIn(property.initializer).length > 0),
  );
}
