import { attributeCases } from './cases/attributes.ts'
import { bodyCases } from './cases/bodies.ts'
import type { Case } from './cases/case.ts'
import { pathCases } from './cases/paths.ts'
import { rawCases } from './cases/raws.ts'
import { resultCases } from './cases/results.ts'

const table: readonly Case[] = [...pathCases, ...bodyCases, ...attributeCases, ...rawCases, ...resultCases]

/** Every case by its name; of names that stand twice the later ones are numbered. */
export const cases: readonly Case[] = table.map((each, index) => {
  const before = table.slice(0, index).filter(({ name }) => name === each.name).length
  return before === 0 ? each : { ...each, name: `${each.name} (${before + 1})` }
})
