/** What a client of OpenAI's API asks, and pieces of what a server streams. */
export const request = (members: object = {}) =>
  JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }], stream: true, ...members })
export const chunk = (content: string | null, more: object = {}) =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { content } }],
    ...more,
  })
export const usage = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 }
export const usageOnly = JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [], usage })
export const events = (...data: string[]) => data.map((each) => `data: ${each}\n\n`).join('')
export const whole = events(chunk('one'), chunk(' two'), chunk(' three'), usageOnly, '[DONE]')
