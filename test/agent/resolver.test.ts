import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NameTable, Resolver } from '../../src/agent/resolver.js'

test('an answer holds for its time to live, then the new address is found', () => {
  const table = new NameTable()
  table.set('guest', '10.0.0.1', 1000)
  const asked = new Resolver(table)
  assert.equal(asked.resolve('guest', 0), '10.0.0.1')
  table.set('guest', '10.0.0.2', 1000)
  assert.equal(asked.resolve('guest', 999), '10.0.0.1')
  assert.equal(new Resolver(table).resolve('guest', 999), '10.0.0.2', 'who asks now is told at once')
  assert.equal(asked.resolve('guest', 1000), '10.0.0.2')
  assert.equal(asked.resolve('nobody', 0), undefined)
})
