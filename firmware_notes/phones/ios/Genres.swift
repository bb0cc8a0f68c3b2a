import Foundation

/// A genre and its probability.
struct Genre: Identifiable {
    let label: String
    let probability: Float
    var id: String { label }
}

/// Names the genre of windows; one thread at a time.
protocol Genres {
    /// All genres of one window of samples (mono, full scale 1), the likeliest first.
    func classify(_ samples: [Float]) throws -> [Genre]
}

enum GenresError: LocalizedError {
    case missing(String)
    case microphone(String)

    var errorDescription: String? {
        switch self {
        case .missing(let name): return "\(name) is not in the app"
        case .microphone(let why): return "no microphone: \(why)"
        }
    }
}

func resource(_ name: String) throws -> URL {
    guard let url = Bundle.main.url(forResource: name, withExtension: nil) else {
        throw GenresError.missing(name)
    }
    return url
}

/// `labels.txt`, from the model file with `unzip -p genres.tflite labels.txt`.
func labels() throws -> [String] {
    try String(contentsOf: resource("labels.txt"), encoding: .utf8)
        .split(separator: "\n").map(String.init)
}

func named(_ labels: [String], _ probabilities: Data) -> [Genre] {
    let values = probabilities.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    return zip(labels, values)
        .map { Genre(label: $0, probability: $1) }
        .sorted { $0.probability > $1.probability }
}
