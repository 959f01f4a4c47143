import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { hasTriton } from '../test/harness/components.ts'
import { bold, printStep, say } from './print.ts'
import { tour } from './tour.ts'
import { type ModelServerChoice, startWorld, type World } from './world.ts'

const { values } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    'model-server': { type: 'string', default: 'triton' },
  },
})

const began = performance.now()
const choice = modelServer(values['model-server'])
await using world = await startWorld({ modelServer: choice, say })
say(
  `\nReady after ${((performance.now() - began) / 1000).toFixed(1)} s: a client, Envoy 1.40 with mTLS, Sluice, ${world.modelServer.name}.`,
)

const wrong: string[] = []
for (const [index, step] of tour.entries()) {
  const outcomes = await step.play(world)
  printStep(`${index + 1}. ${step.title}`, outcomes)
  wrong.push(...outcomes.flatMap((outcome) => outcome.wrong.map((text) => `${step.title}: ${text}`)))
}
say('')
say(
  wrong.length === 0
    ? bold(`${tour.length} steps, each as it should be.`)
    : bold(`${wrong.length} not as it should be.`),
)

if (values.once) process.exitCode = wrong.length === 0 ? 0 : 1
else {
  printCommands(world)
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  say('Stopping …')
}

function modelServer(wanted: string): ModelServerChoice {
  if (wanted !== 'triton' && wanted !== 'embedded') {
    process.stderr.write(`--model-server ${wanted}: expected triton or embedded\n`)
    process.exit(2)
  }
  if (wanted === 'triton' && !hasTriton()) {
    say(
      `Triton has no build for ${process.platform}-${process.arch}: the embedded V2 server stands in for it.`,
    )
    return 'embedded'
  }
  return wanted
}

function printCommands({ folder, mainPort, agentConfig }: World): void {
  const certificates = `${folder}/certificates`
  const body = `'{"inputs":[{"name":"features","datatype":"FP32","shape":[3],"data":[1,2,3]}]}'`
  say(`
${bold('Try it by hand')} (everything lies in ${folder}):
  D=${certificates}
  curl --cacert $D/ca.pem --cert $D/acme.pem --key $D/acme.key https://localhost:${mainPort}/v2/models/fraud/infer -d ${body}
  the same with globex, initech or umbrella in place of acme
  the same with gateway and -H "authorization: Bearer $(cat $D/hooli.jwt)": the tenant is hooli
  npx sluice identity explain -c ${agentConfig} --certificate $D/gateway.pem --token $D/hooli.jwt
  curl -N --cacert $D/ca.pem --cert $D/acme.pem --key $D/acme.key https://localhost:${mainPort}/v2/models/story/generate_stream -d '{"text_input":"tell me","max_tokens":3}'
  npx sluice quota show -c ${agentConfig}
  npx sluice quota reset -c ${agentConfig} -t acme -l acme-story/tokens
  npx sluice check -c ${agentConfig}
  npx sluice envoy config -c ${agentConfig}
  edit ${folder}/resources/*.yaml and call again; tail -f ${folder}/audit/decisions.jsonl
${bold('Ctrl-C stops everything.')}`)
}
