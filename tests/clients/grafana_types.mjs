// Checks files of Grafana against the types of `grafana.ts`, with the compiler of TypeScript. Reads a list of
// `{name, type, text}` as JSON, where `text` is JSON or YAML, and writes for each name the list of what is wrong with it.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const modules = process.env.TEST_NODE_MODULES
const require = createRequire(`${modules}/`)
const ts = require('typescript')
const yaml = require('yaml')

const checked = JSON.parse(readFileSync(0, 'utf8'))
const types = readFileSync(new URL('grafana.ts', import.meta.url), 'utf8')

// All of it lies beside the modules, as far as the compiler knows, so that it finds them.
const place = (name) => join(dirname(modules), name)
const files = new Map([[place('grafana.ts'), types]])
for (const { name, type, text } of checked) {
  // A literal is what excess fields are found in. JSON stays as it is, so that lines are those of the file.
  const literal = text.trimStart().startsWith('{') ? text : JSON.stringify(yaml.parse(text, { strict: true }), null, 2)
  files.set(place(`${name}.ts`), `import type { ${type} } from './grafana'; export const it: ${type} = ${literal}\n`)
}

const options = {
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2022.d.ts'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
}
const host = ts.createCompilerHost(options)
const { fileExists, readFile, getSourceFile } = host
host.fileExists = (path) => files.has(path) || fileExists(path)
host.readFile = (path) => files.get(path) ?? readFile(path)
host.getSourceFile = (path, version, ...rest) =>
  files.has(path) ? ts.createSourceFile(path, files.get(path), version) : getSourceFile(path, version, ...rest)

const program = ts.createProgram([...files.keys()], options, host)
const said = ({ file, start, messageText }) => {
  const line = file ? `line ${file.getLineAndCharacterOfPosition(start).line + 1}: ` : ''
  return line + ts.flattenDiagnosticMessageText(messageText, '\n')
}
const problems = (path) => {
  const source = program.getSourceFile(path)
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(said)
}
// A type that is not found is `any`, which takes everything.
assert.deepEqual([...program.getGlobalDiagnostics(), ...program.getOptionsDiagnostics()].map(said), [])
assert.deepEqual(problems(place('grafana.ts')), [])
console.log(JSON.stringify(Object.fromEntries(checked.map(({ name }) => [name, problems(place(`${name}.ts`))]))))
