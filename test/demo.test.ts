import t from 'tap'
import { hasTriton } from './harness/components.ts'
import { run } from './harness/run.ts'

const root = new URL('..', import.meta.url).pathname

async function tour(...args: string[]): Promise<string> {
  return (await run(process.execPath, ['demo/demo.ts', '--once', ...args], { cwd: root })).toString()
}

t.test('every step of the tour is as it should be, on the real Triton', async (t) => {
  const text = await tour(...(hasTriton() ? [] : ['--model-server', 'embedded']))
  t.match(text, /\d+ steps, each as it should be\./)
})

t.test('every step of the tour is as it should be, on the embedded model server', async (t) => {
  t.match(await tour('--model-server', 'embedded'), /\d+ steps, each as it should be\./)
})

t.test('an unknown model server is refused with what was expected', async (t) => {
  await t.rejects(tour('--model-server', 'tritom'), /expected triton or embedded/)
})
