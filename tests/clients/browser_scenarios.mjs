// The core scenarios with MQTT.js in a browser, for each WebSocket endpoint and version. The page that
// loads this reports `ok NAME` or `not ok NAME: WHY` for each to the server that it came from.

const site = await (await fetch('/site.json')).json()
const PATIENCE = 30_000

const VERSIONS = {
  '3.1': { protocolId: 'MQIsdp', protocolVersion: 3 },
  '3.1.1': { protocolVersion: 4 },
  '5.0': { protocolVersion: 5 },
}

function equal(found, expected) {
  const [left, right] = [found, expected].map((value) => JSON.stringify(value))
  if (left !== right) throw new Error(`${left} instead of ${right}`)
}

function within(promise, what) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE)
  })
  return Promise.race([promise, late])
}

// The events of `client` called `name`, one for each call of what this returns.
function queue(client, name) {
  const items = []
  const waiting = []
  client.on(name, (...event) => {
    const next = waiting.shift()
    next ? next(event) : items.push(event)
  })
  return () => {
    if (items.length > 0) return Promise.resolve(items.shift())
    return within(new Promise((resolve) => waiting.push(resolve)), name)
  }
}

const open = new Set()

// A client that is connected, refused, or turned away before it could say anything.
async function connect(url, clientId, options) {
  const client = mqtt.connect(url, {
    clientId,
    username: site.user,
    password: site.password,
    reconnectPeriod: 0,
    connectTimeout: PATIENCE,
    ...options,
  })
  open.add(client)
  const message = queue(client, 'message')
  const outcome = await within(new Promise((resolve) => {
    client.once('connect', () => resolve({}))
    client.once('error', (error) => resolve({ refused: error.code ?? 'no WebSocket' }))
    client.once('close', () => resolve({ refused: 'no WebSocket' }))
  }), 'CONNACK')
  client.on('error', () => {})
  return {
    ...outcome,
    client,
    async message() {
      const [topic, payload, packet] = await message()
      return [topic, payload.toString(), packet.qos, packet.retain]
    },
  }
}

const scenarios = {
  async 'every QoS is delivered'(url, version) {
    const peer = await connect(url, 'browser', version)
    equal(peer.refused, undefined)
    await within(peer.client.subscribeAsync('browser/qos', { qos: 2 }), 'SUBACK')
    for (const qos of [0, 1, 2]) {
      await within(peer.client.publishAsync('browser/qos', `QoS ${qos}`, { qos }), 'PUBACK')
      equal(await peer.message(), ['browser/qos', `QoS ${qos}`, qos, false])
    }
  },

  async 'a retained message reaches who subscribes later'(url, version) {
    const retain = { qos: 1, retain: true }
    const publisher = await connect(url, 'retainer', version)
    await within(publisher.client.publishAsync('browser/retained', 'kept', retain), 'PUBACK')
    const late = await connect(url, 'late', version)
    await within(late.client.subscribeAsync('browser/retained', { qos: 1 }), 'SUBACK')
    equal(await late.message(), ['browser/retained', 'kept', 1, true])
    await within(publisher.client.publishAsync('browser/retained', '', retain), 'PUBACK')
  },

  async 'a will is published when the connection breaks'(url, version) {
    const witness = await connect(url, 'witness', version)
    await within(witness.client.subscribeAsync('browser/will', { qos: 1 }), 'SUBACK')
    const will = { topic: 'browser/will', payload: 'gone', qos: 1 }
    const mortal = await connect(url, 'mortal', { ...version, will })
    equal(mortal.refused, undefined)
    // By force: without DISCONNECT.
    mortal.client.end(true)
    equal(await witness.message(), ['browser/will', 'gone', 1, false])
  },

  async 'a wrong password is refused'(url, version) {
    const guest = await connect(url, 'guest', { ...version, password: 'wrong' })
    equal(guest.refused, version.protocolVersion === 5 ? 0x86 : 4)
  },
}

// A page of a foreign origin gets no WebSocket at all.
const foreign = {
  async 'a page of a foreign origin is turned away'(url, version) {
    const stranger = await connect(url, 'stranger', version)
    equal(stranger.refused, 'no WebSocket')
  },
}

const lines = []
for (const url of site.urls) {
  for (const [name, version] of Object.entries(VERSIONS)) {
    for (const [what, scenario] of Object.entries(location.hash ? foreign : scenarios)) {
      const title = `${new URL(url).protocol} ${name} ${what}`
      try {
        await scenario(url, version)
        lines.push(`ok ${title}`)
      } catch (error) {
        lines.push(`not ok ${title}: ${error.stack}`)
      }
      for (const client of open) client.end(true)
      open.clear()
    }
  }
}
await report(lines.join('\n'))
