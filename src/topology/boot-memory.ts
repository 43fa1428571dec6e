/** What was found out about this box and holds until it is booted again, kept beside the list of labs. */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../support/errors.js'
import { bootId, manifestDirectory } from './manifest.js'

/** How the names of these files begin. */
export const rememberedPrefix = 'known-'

/**
 * The answer of this boot to the question of this name (letters, digits and dashes); found out now, and kept, if there
 * is none yet. What `find` throws is not kept. Needs root. The answer must be JSON.
 */
export async function oncePerBoot<Answer>(name: string, find: () => Promise<Answer>): Promise<Answer> {
  const file = join(manifestDirectory, `${rememberedPrefix}${name}-${await bootId()}`)
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
  const answer = await find()
  await mkdir(manifestDirectory, { recursive: true })
  const draft = `${file}.${process.pid}`
  await writeFile(draft, JSON.stringify(answer))
  await rename(draft, file) // whole or not at all, for others may be reading
  return answer
}
