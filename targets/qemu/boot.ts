/**
 * Boots a kernel in QEMU with the agent as its init, and connects to the agent.
 *
 * QEMU connects to a socket that we listen on, in a directory only we can enter; the guest's port
 * is at the other end of it. Whatever happens, QEMU does not outlive us.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { makeRom } from "../../model/pci/rom.ts";
import { compileAgent, exists } from "../agent/compile.ts";
import { AgentConnection, TargetLost } from "../agent/connection.ts";
import { buildInitramfs } from "./initramfs.ts";
import { type QemuMachine, ROM_DEVICE, ROM_FILE } from "./machines.ts";
import { SerialLog } from "./serial.ts";

const QEMU = "qemu-system-x86_64";
const BOOT_MS = 120_000;
const ANSWER_GRACE_MS = 30_000;
/** A guest under hardware virtualisation that is not up by then hangs. */
const KVM_BOOT_MS = 15_000;
/** How long QEMU may take to end after its end of the socket was closed. */
const WHY_MS = 5_000;

// No mitigations, since nothing is kept secret from the guest's programs; the TSC without a watchdog, since under
// emulation it looks unsteady; a panic ends QEMU (with -no-reboot) instead of waiting to be read. The machine's watchdog
// interrupts a kernel that loops, which says where it was.
const APPEND =
  "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check nowatchdog nokaslr unknown_nmi_panic";

/** What carries out the guest's instructions. */
export type Accelerator = "tcg" | "kvm";

/** What to boot, and in what. */
export interface BootOptions {
  readonly bzImage: string;
  /** `.ko` files, in the order they are to be loaded. */
  readonly modules: readonly string[];
  readonly machine: QemuMachine;
  /** Added to the kernel's command line. */
  readonly append?: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  /** `tcg` unless given. `kvm` is tried, and given up for `tcg` where a guest does not come up under it. */
  readonly accel?: Accelerator;
  /**
   * Count instructions for time: the guest's waits cost nothing while it is idle (a device reset sleeps 100 ms), and
   * programs run as fast. An instruction takes two to the power of this in nanoseconds: with less, busy waits of drivers and
   * firmware take long, with more, timer ticks do. All of the guest's CPUs take turns then, so it is not for races. Means `tcg`.
   */
  readonly icount?: number;
  /** The longest the boot may take; 120 s unless given. */
  readonly bootMs?: number;
  /** Ends QEMU when it is aborted: to be wired to SIGINT and SIGTERM by whoever owns the process. */
  readonly signal?: AbortSignal;
}

/** The guest did not boot; the message says why and what to do. */
export class BootError extends Error {
  override readonly name = "BootError";
  /** What the guest wrote on its console. */
  readonly serial: string;

  constructor(message: string, serial: string, options?: ErrorOptions) {
    super(message, options);
    this.serial = serial;
  }
}

/** A guest that is up. Disposing of it ends QEMU. */
export interface Guest extends AsyncDisposable {
  readonly agent: AgentConnection;
  /** The last 256 KiB of the guest's console. */
  readonly serial: string;
  readonly accel: Accelerator;
  /** From starting QEMU to the agent's handshake. */
  readonly bootMs: number;
}

/**
 * Boots a guest.
 *
 * @throws BootError if it does not come up, AgentCompileError and InitramfsError if there is nothing to boot.
 */
export async function bootGuest(options: BootOptions): Promise<Guest> {
  const { accel = "tcg", icount, bootMs = BOOT_MS } = options;
  if (accel === "kvm" && icount === undefined) {
    try {
      return await boot(options, "kvm", Math.min(bootMs, KVM_BOOT_MS));
    } catch (error) {
      if (!(error instanceof BootError)) throw error;
    }
  }
  return boot(options, "tcg", bootMs);
}

async function boot(options: BootOptions, accel: Accelerator, bootMs: number): Promise<Guest> {
  options.signal?.throwIfAborted();
  if (!(await exists(options.bzImage))) throw new BootError(`There is no kernel at ${options.bzImage}.`, "");
  const initramfs = await buildInitramfs(await compileAgent(), options.modules);
  const directory = await mkdtemp(join(tmpdir(), "vfio-conformance-")); // mode 0700
  const server = createServer();
  const serial = new SerialLog();
  const began = performance.now();
  let qemu: Qemu | undefined;
  try {
    const path = join(directory, "agent");
    const rom = join(directory, "rom");
    await writeFile(rom, makeRom(ROM_DEVICE.vendor, ROM_DEVICE.device));
    server.listen(path);
    await once(server, "listening");
    qemu = new Qemu(arguments_(options, accel, initramfs, { agent: path, rom }), serial, options.signal);
    const running = qemu;
    const agent = await connect(server, running, bootMs);
    return {
      agent,
      accel,
      bootMs: performance.now() - began,
      get serial() {
        return serial.text;
      },
      async [Symbol.asyncDispose]() {
        agent.lose("The guest was shut down.");
        await running.kill();
      },
    };
  } catch (cause) {
    await qemu?.kill();
    options.signal?.throwIfAborted();
    if (!(cause instanceof TargetLost)) throw cause;
    const last = serial.lastLine && ` The last line on its console: ${serial.lastLine}`;
    throw new BootError(`The guest did not boot. ${cause.message}${last}`, serial.text, { cause });
  } finally {
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function connect(server: Server, qemu: Qemu, bootMs: number): Promise<AgentConnection> {
  const connected = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const socket = await Promise.race([connected, qemu.ended]);
  if (typeof socket === "string") throw new TargetLost(socket, []);
  return AgentConnection.open(socket, {
    handshakeMs: bootMs,
    answerGraceMs: ANSWER_GRACE_MS,
    whyEnded: async () => (await Promise.race([qemu.ended, setTimeout(WHY_MS)])) ?? "The guest's agent ended.",
  });
}

/** Paths that are made for one boot: the socket of the agent's, and the ROM of a function. */
interface Made {
  readonly agent: string;
  readonly rom: string;
}

function arguments_(options: BootOptions, accel: Accelerator, initramfs: string, made: Made): readonly string[] {
  const { machine } = options;
  const threads = options.icount === undefined ? ",thread=multi" : ",thread=single";
  return [
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"],
    ...[
      "-accel",
      accel === "tcg" ? `tcg${threads},tb-size=256` : "kvm",
      "-m",
      `${options.memoryMiB}`,
      "-smp",
      `${options.cpus}`,
    ],
    ...(options.icount === undefined ? [] : ["-icount", `shift=${options.icount},sleep=off`]),
    ...machine.args.map((argument) => argument.replace(ROM_FILE, made.rom)),
    ...["-device", "ib700", "-action", "watchdog=inject-nmi"],
    ...["-chardev", `socket,id=agent,path=${made.agent}`],
    ...["-device", "virtio-serial-pci,addr=1e.0", "-device", "virtserialport,chardev=agent,name=vfio-conformance"],
    ...["-serial", "stdio", "-kernel", options.bzImage, "-initrd", initramfs],
    ...["-append", [APPEND, machine.append, options.append].filter(Boolean).join(" ")],
  ];
}

/** A running QEMU. It is killed when we exit, whatever makes us exit. */
class Qemu {
  /** Settles, with a sentence, when QEMU is gone. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcess;
  readonly #killNow = (): void => {
    this.#process.kill("SIGKILL");
  };
  #killed = false;

  constructor(args: readonly string[], serial: SerialLog, signal: AbortSignal | undefined) {
    // In a process group of its own: a Ctrl-C on the terminal is for us, who end QEMU when its work is done.
    const child = spawn(QEMU, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    this.#process = child;
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => serial.append(chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      said = (said + chunk).slice(-4096);
    });
    process.on("exit", this.#killNow);
    signal?.addEventListener("abort", this.#killNow);
    this.ended = new Promise<string>((resolve) => {
      child.on("error", () =>
        resolve(`${QEMU} could not be started; install it with: apt-get install qemu-system-x86`),
      );
      child.on("close", (code, killedBy) => {
        if (this.#killed) resolve("The guest was shut down.");
        else if (serial.loop !== undefined)
          resolve(`The guest's kernel let nobody else run for 30 s, at ${serial.loop}.`);
        else if (serial.panic !== undefined) resolve(`The guest's kernel panicked: ${serial.panic}`);
        else if (code === 0) resolve("The guest turned itself off.");
        else resolve(`QEMU ended with ${killedBy ?? `exit code ${code}`}: ${said.trim() || "it said nothing"}`);
      });
    }).finally(() => {
      process.off("exit", this.#killNow);
      signal?.removeEventListener("abort", this.#killNow);
    });
  }

  async kill(): Promise<void> {
    this.#killed = true;
    this.#killNow();
    await this.ended;
  }
}
