import AVFAudio
import SwiftUI

private let sampleRate = 22_050.0  // `edge-genre inspect` prints the model's

/// What the microphone hears, as bars.
struct ContentView: View {
    @State private var heard: [Genre] = []
    @State private var trouble = "Listening …"

    var body: some View {
        VStack(alignment: .leading, spacing: 12) {
            Text(heard.first?.label ?? trouble).font(.largeTitle)
            ForEach(heard.prefix(5)) { genre in
                ProgressView(genre.label, value: genre.probability)
            }
        }
        .padding()
        .task {
            do {
                try await listen()
            } catch {
                trouble = error.localizedDescription
            }
        }
    }

    private func listen() async throws {
        guard await AVAudioApplication.requestRecordPermission() else {
            throw GenresError.microphone("it is not allowed")
        }
        let genres = try OnnxGenres()  // LiteRtGenres takes its place as it is
        let size = Int(3 * sampleRate)
        for await window in try windows(sampleRate: sampleRate, size: size, hop: size / 6) {
            heard = try genres.classify(window)  // milliseconds, which no one sees
        }
    }
}
