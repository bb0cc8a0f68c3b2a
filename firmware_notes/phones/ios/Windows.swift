import AVFoundation

/// Rolling windows of the microphone: the newest `size` samples at `sampleRate`, full scale 1,
/// about every `hop` samples. Whoever is too slow gets the newest window and misses those between.
func windows(sampleRate: Double, size: Int, hop: Int) throws -> AsyncStream<[Float]> {
    let session = AVAudioSession.sharedInstance()
    // `.measurement` is without the gain control that is made for speech.
    try session.setCategory(.record, mode: .measurement)
    try session.setActive(true)
    let engine = AVAudioEngine()
    let format = engine.inputNode.outputFormat(forBus: 0)
    guard format.sampleRate > 0,
        let mono = AVAudioFormat(
            commonFormat: .pcmFormatFloat32, sampleRate: sampleRate, channels: 1, interleaved: false),
        let converter = AVAudioConverter(from: format, to: mono)
    else { throw GenresError.microphone("it gives no samples that could be converted") }

    return AsyncStream(bufferingPolicy: .bufferingNewest(1)) { stream in
        var heard: [Float] = []
        var unseen = 0
        engine.inputNode.installTap(onBus: 0, bufferSize: 4096, format: format) { buffer, _ in
            let room = AVAudioFrameCount(
                Double(buffer.frameLength) * sampleRate / format.sampleRate + 16)
            guard let converted = AVAudioPCMBuffer(pcmFormat: mono, frameCapacity: room) else { return }
            var given = false
            converter.convert(to: converted, error: nil) { _, status in
                // A second buffer comes with the next call; the converter keeps what it needs.
                status.pointee = given ? .noDataNow : .haveData
                defer { given = true }
                return given ? nil : buffer
            }
            let samples = UnsafeBufferPointer(
                start: converted.floatChannelData![0], count: Int(converted.frameLength))
            heard.append(contentsOf: samples)
            unseen += samples.count
            if heard.count >= size && unseen >= hop {
                heard.removeFirst(heard.count - size)
                unseen = 0
                stream.yield(heard)
            }
        }
        stream.onTermination = { _ in
            engine.stop()
            engine.inputNode.removeTap(onBus: 0)
        }
        do {
            try engine.start()
        } catch {
            stream.finish()
        }
    }
}
